//! From the bytes of an event to its findings, for one sample of each source.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has failed"
)]

use std::{fs, hint::black_box, path::Path};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use remediation::intake;

const SAMPLES: [(&str, &str); 8] = [
    ("GuardDuty", "block-ip/ssh-brute-force"),
    ("GuardDuty, attack sequence", "block-ip/attack-sequence"),
    ("Security Hub, ASFF", "disable-access-key/securityhub-iam3"),
    ("Security Hub, OCSF", "block-ip/security-hub-v2-ssh-brute-force"),
    ("Config", "enforce-s3-encryption/config-default-encryption-kms"),
    (
        "Access Analyzer",
        "revoke-permissions/access-analyzer-unused-permission",
    ),
    ("CloudTrail", "enforce-s3-encryption/cloudtrail-create-bucket"),
    ("Health", "disable-access-key/health-exposed-key"),
];

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    for (source, sample) in SAMPLES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../events/{sample}.json"));
        let event: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        // As EventBridge sends it: without the spaces of the file.
        let event = event.to_string();
        group.throughput(Throughput::Elements(1));
        group.bench_function(source, |bencher| {
            bencher.iter(|| intake::read(black_box(&event)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, read);
criterion_main!(benches);
