//! Which Security Hub control a finding is about. Each standard has ids of its own, and findings carry those unless
//! consolidated control findings are turned on.

/// Services in the spelling of control ids. Others are left as they are, or put in capitals if they have none.
const SERVICES: [&str; 13] = [
    "CloudFront",
    "CloudTrail",
    "CloudWatch",
    "Config",
    "DynamoDB",
    "EC2",
    "GuardDuty",
    "IAM",
    "KMS",
    "Lambda",
    "RDS",
    "S3",
    "SecretsManager",
];

/// How the ids of a standard become those of the control.
enum Ids {
    /// They are the same.
    Same,
    /// By this table. What it lacks is not known, or stands for more than one control.
    Table(&'static [(&'static str, &'static str)]),
}

/// What stands before the standard's id, in lower case.
const STANDARDS: [(&str, Ids); 9] = [
    ("security-control/", Ids::Same),
    ("aws-foundational-security-best-practices/v/1.0.0/", Ids::Same),
    ("service-managed-aws-control-tower/v/1.0.0/", Ids::Same),
    ("nist-800-53/v/5.0.0/", Ids::Same),
    ("cis-aws-foundations-benchmark/v/1.2.0/", Ids::Table(&CIS_1_2)),
    ("cis-aws-foundations-benchmark/v/1.4.0/", Ids::Table(&CIS_1_4)),
    ("cis-aws-foundations-benchmark/v/3.0.0/", Ids::Table(&CIS_3_0)),
    ("cis-aws-foundations-benchmark/v/5.0.0/", Ids::Table(&CIS_5_0)),
    ("pci-dss/v/3.2.1/", Ids::Table(&PCI_3_2_1)),
];

/// Rule 1.1 is both CloudWatch.1 and IAM.20.
const CIS_1_2: [(&str, &str); 20] = [
    ("1.2", "IAM.5"),
    ("1.3", "IAM.8"),
    ("1.4", "IAM.3"),
    ("1.5", "IAM.11"),
    ("1.6", "IAM.12"),
    ("1.7", "IAM.13"),
    ("1.8", "IAM.14"),
    ("1.9", "IAM.15"),
    ("1.10", "IAM.16"),
    ("1.11", "IAM.17"),
    ("1.12", "IAM.4"),
    ("1.13", "IAM.9"),
    ("1.14", "IAM.6"),
    ("1.16", "IAM.2"),
    ("1.20", "IAM.18"),
    ("1.22", "IAM.1"),
    ("2.8", "KMS.4"),
    ("4.1", "EC2.13"),
    ("4.2", "EC2.14"),
    ("4.3", "EC2.2"),
];

const CIS_1_4: [(&str, &str); 20] = [
    ("1.4", "IAM.4"),
    ("1.5", "IAM.9"),
    ("1.6", "IAM.6"),
    ("1.8", "IAM.15"),
    ("1.9", "IAM.16"),
    ("1.10", "IAM.5"),
    ("1.12", "IAM.22"),
    ("1.14", "IAM.3"),
    ("1.16", "IAM.1"),
    ("1.17", "IAM.18"),
    ("2.1.1", "S3.4"),
    ("2.1.2", "S3.5"),
    ("2.1.5.1", "S3.1"),
    ("2.1.5.2", "S3.8"),
    ("2.2.1", "EC2.7"),
    ("2.3.1", "RDS.3"),
    ("3.6", "S3.9"),
    ("3.8", "KMS.4"),
    ("5.1", "EC2.21"),
    ("5.3", "EC2.2"),
];

/// Rule 2.1.4 is both S3.1 and S3.8.
const CIS_3_0: [(&str, &str); 7] = [
    ("1.4", "IAM.4"),
    ("1.12", "IAM.22"),
    ("1.14", "IAM.3"),
    ("1.15", "IAM.2"),
    ("1.20", "IAM.28"),
    ("1.22", "IAM.27"),
    ("2.1.1", "S3.5"),
];

/// Rule 2.1.4 is both S3.1 and S3.8.
const CIS_5_0: [(&str, &str); 7] = [
    ("1.3", "IAM.4"),
    ("1.11", "IAM.22"),
    ("1.13", "IAM.3"),
    ("1.14", "IAM.2"),
    ("1.19", "IAM.28"),
    ("1.21", "IAM.27"),
    ("2.1.1", "S3.5"),
];

/// Service and number look like a control's, and mean another.
const PCI_3_2_1: [(&str, &str); 20] = [
    ("pci.iam.1", "IAM.4"),
    ("pci.iam.2", "IAM.2"),
    ("pci.iam.3", "IAM.1"),
    ("pci.iam.4", "IAM.6"),
    ("pci.iam.5", "IAM.9"),
    ("pci.iam.6", "IAM.19"),
    ("pci.iam.7", "IAM.8"),
    ("pci.iam.8", "IAM.10"),
    ("pci.s3.1", "S3.3"),
    ("pci.s3.2", "S3.2"),
    ("pci.s3.3", "S3.7"),
    ("pci.s3.4", "S3.4"),
    ("pci.s3.5", "S3.5"),
    ("pci.s3.6", "S3.1"),
    ("pci.ec2.1", "EC2.1"),
    ("pci.ec2.2", "EC2.2"),
    ("pci.ec2.4", "EC2.12"),
    ("pci.ec2.5", "EC2.13"),
    ("pci.kms.1", "KMS.4"),
    ("pci.rds.1", "RDS.1"),
];

/// The control, from whatever names it: the first that is there says it, or `GeneratorId` and `StandardsControlArn` do.
pub(super) fn control(
    security_control_id: Option<&str>,
    generator_id: Option<&str>,
    standards_control_arn: Option<&str>,
) -> Option<String> {
    security_control_id
        .and_then(consolidated)
        .or_else(|| generator_id.and_then(of_standard))
        .or_else(|| standards_control_arn.and_then(of_standard))
}

fn of_standard(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    STANDARDS.iter().find_map(|(standard, ids)| {
        let (before, id) = lower.split_once(standard)?;
        // A product of somebody else's may have a generator that merely ends like ours.
        if !before.is_empty() && !before.starts_with("arn:") {
            return None;
        }
        let id = id.strip_prefix("rule/").unwrap_or(id);
        match ids {
            Ids::Same => consolidated(text.get(text.len() - id.len()..)?),
            Ids::Table(table) => table
                .iter()
                .find(|(theirs, _)| *theirs == id)
                .map(|(_, control)| (*control).to_owned()),
        }
    })
}

/// The one spelling of a control's id; `None` if it has not the form of one.
pub(super) fn consolidated(id: &str) -> Option<String> {
    let (service, number) = id.trim().split_once('.')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_service = service.starts_with(|first: char| first.is_ascii_alphabetic())
        && service.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_number || !is_service {
        return None;
    }
    let known = SERVICES.iter().find(|known| known.eq_ignore_ascii_case(service));
    Some(match known {
        Some(known) => format!("{known}.{number}"),
        None if service.bytes().any(|byte| byte.is_ascii_uppercase()) => format!("{service}.{number}"),
        None => format!("{}.{number}", service.to_ascii_uppercase()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated_by(generator: &str) -> Option<String> {
        control(None, Some(generator), None)
    }

    #[test]
    fn the_control_id_itself_goes_first() {
        let legacy = Some("pci-dss/v/3.2.1/PCI.S3.1");
        assert_eq!(control(Some("S3.17"), legacy, None).as_deref(), Some("S3.17"));
        assert_eq!(control(Some("iam.3"), None, None).as_deref(), Some("IAM.3"));
        assert_eq!(
            control(Some("CloudTrail.2"), None, None).as_deref(),
            Some("CloudTrail.2")
        );
        assert_eq!(control(Some("ELBv2.1"), None, None).as_deref(), Some("ELBv2.1"));
        assert_eq!(control(Some(""), legacy, None).as_deref(), Some("S3.3"));
        assert_eq!(control(None, None, None), None);
    }

    #[test]
    fn standards_with_the_same_ids() {
        for (generator, expected) in [
            ("security-control/S3.5", "S3.5"),
            ("security-control/iam.9", "IAM.9"),
            ("aws-foundational-security-best-practices/v/1.0.0/ELBv2.1", "ELBv2.1"),
            ("security-control/cloudtrail.2", "CloudTrail.2"),
            ("aws-foundational-security-best-practices/v/1.0.0/IAM.8", "IAM.8"),
            ("service-managed-aws-control-tower/v/1.0.0/S3.4", "S3.4"),
            ("nist-800-53/v/5.0.0/S3.17", "S3.17"),
        ] {
            assert_eq!(generated_by(generator).as_deref(), Some(expected), "{generator}");
        }
    }

    #[test]
    fn versions_of_the_cis_benchmark() {
        let ruleset = "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/";
        for (generator, expected) in [
            (format!("{ruleset}1.3"), Some("IAM.8")),
            (format!("{ruleset}1.4"), Some("IAM.3")),
            (format!("{ruleset}1.9"), Some("IAM.15")),
            (format!("{ruleset}1.1"), None),
            (format!("{ruleset}1.99"), None),
            ("cis-aws-foundations-benchmark/v/1.4.0/1.14".to_owned(), Some("IAM.3")),
            ("cis-aws-foundations-benchmark/v/1.4.0/2.1.1".to_owned(), Some("S3.4")),
            ("cis-aws-foundations-benchmark/v/3.0.0/1.14".to_owned(), Some("IAM.3")),
            ("cis-aws-foundations-benchmark/v/3.0.0/2.1.4".to_owned(), None),
            ("cis-aws-foundations-benchmark/v/5.0.0/1.14".to_owned(), Some("IAM.2")),
            ("cis-aws-foundations-benchmark/v/5.0.0/1.11".to_owned(), Some("IAM.22")),
            ("cis-aws-foundations-benchmark/v/9.0.0/1.14".to_owned(), None),
        ] {
            assert_eq!(generated_by(&generator).as_deref(), expected, "{generator}");
        }
    }

    #[test]
    fn pci_numbers_mean_other_controls() {
        for (id, expected) in [
            ("PCI.S3.1", Some("S3.3")),
            ("PCI.S3.5", Some("S3.5")),
            ("PCI.S3.6", Some("S3.1")),
            ("PCI.IAM.7", Some("IAM.8")),
            ("PCI.IAM.3", Some("IAM.1")),
            ("PCI.XYZ.1", None),
        ] {
            assert_eq!(
                generated_by(&format!("pci-dss/v/3.2.1/{id}")).as_deref(),
                expected,
                "{id}"
            );
        }
    }

    #[test]
    fn the_arn_of_the_control_in_its_standard() {
        let arn = "arn:aws:securityhub:us-east-1:111122223333:control/";
        for (id, expected) in [
            ("aws-foundational-security-best-practices/v/1.0.0/IAM.8", "IAM.8"),
            ("cis-aws-foundations-benchmark/v/1.2.0/1.4", "IAM.3"),
            ("pci-dss/v/3.2.1/PCI.S3.1", "S3.3"),
        ] {
            let found = control(None, Some("unknown"), Some(&format!("{arn}{id}")));
            assert_eq!(found.as_deref(), Some(expected));
        }
    }

    #[test]
    fn controls_about_permissions() {
        for control_id in ["IAM.1", "IAM.2", "IAM.21", "IAM.27", "KMS.1", "KMS.2"] {
            assert_eq!(control(Some(control_id), None, None).as_deref(), Some(control_id));
            for standard in ["security-control", "aws-foundational-security-best-practices/v/1.0.0"] {
                let generator = format!("{standard}/{}", control_id.to_ascii_lowercase());
                assert_eq!(generated_by(&generator).as_deref(), Some(control_id));
            }
        }
        for (generator, expected) in [
            (
                "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/1.22",
                "IAM.1",
            ),
            (
                "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/1.16",
                "IAM.2",
            ),
            ("cis-aws-foundations-benchmark/v/1.4.0/1.16", "IAM.1"),
            ("cis-aws-foundations-benchmark/v/3.0.0/1.15", "IAM.2"),
            ("cis-aws-foundations-benchmark/v/3.0.0/1.22", "IAM.27"),
            ("cis-aws-foundations-benchmark/v/5.0.0/1.21", "IAM.27"),
            ("pci-dss/v/3.2.1/PCI.IAM.2", "IAM.2"),
            ("pci-dss/v/3.2.1/PCI.IAM.3", "IAM.1"),
        ] {
            assert_eq!(generated_by(generator).as_deref(), Some(expected), "{generator}");
        }
    }

    #[test]
    fn anything_else_is_no_control() {
        for generator in [
            "",
            "security-control/",
            "security-control/IAM",
            "prowler-security-control/IAM.3",
            "arn:aws:guardduty:us-east-1:111122223333:detector/12ab",
        ] {
            assert_eq!(generated_by(generator), None, "{generator}");
        }
    }

    #[test]
    fn every_table_names_controls_by_their_one_spelling() {
        for (_, ids) in &STANDARDS {
            if let Ids::Table(table) = ids {
                for (theirs, ours) in *table {
                    assert_eq!(consolidated(ours).as_deref(), Some(*ours));
                    assert_eq!(theirs.to_ascii_lowercase(), *theirs);
                }
            }
        }
    }

    #[test]
    fn an_id_has_one_word_and_one_number() {
        for id in ["S3.", "S3.5a", ".5", "3S.5", "S-3.5", "S 3.5", "S3", "éS3.5"] {
            assert_eq!(consolidated(id), None, "{id}");
        }
        for (id, expected) in [(" S3.5 ", "S3.5"), ("newest.7", "NEWEST.7"), ("NewSt.7", "NewSt.7")] {
            assert_eq!(consolidated(id).as_deref(), Some(expected));
        }
    }
}
