//! Security Hub on the local cloud: what our extension adds to moto.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::LazyLock;

use local_cloud::{CallError, LocalCloud};
use serde_json::{Value, json};

static CLOUD: LazyLock<LocalCloud> = LazyLock::new(|| LocalCloud::start(&|_| ()).unwrap());

const PRODUCT: &str = "arn:aws:securityhub:us-east-1::product/aws/guardduty";

fn finding(id: &str) -> Value {
    json!({
        "SchemaVersion": "2018-10-08", "Id": id, "ProductArn": PRODUCT, "GeneratorId": "test", "AwsAccountId": "111122223333",
        "Types": ["TTPs/Initial Access"], "CreatedAt": "2026-01-01T00:00:00Z", "UpdatedAt": "2026-01-01T00:00:00Z",
        "Severity": {"Label": "HIGH"}, "Title": "A finding", "Description": "For a test",
        "Resources": [{"Type": "Other", "Id": "resource"}],
    })
}

fn import(finding: &Value) {
    let answer = CLOUD
        .security_hub("POST", "/findings/import", Some(&json!({"Findings": [finding]})))
        .unwrap();
    assert_eq!(answer["SuccessCount"], 1, "{answer}");
}

fn get(id: &str) -> Value {
    let body = json!({"Filters": {"Id": [{"Value": id, "Comparison": "EQUALS"}]}});
    let found = CLOUD.security_hub("POST", "/findings", Some(&body)).unwrap();
    assert_eq!(found["Findings"].as_array().unwrap().len(), 1, "{found}");
    found["Findings"][0].clone()
}

fn update(body: &Value) -> Result<Value, CallError> {
    CLOUD.security_hub("PATCH", "/findings/batchupdate", Some(body))
}

#[test]
fn what_is_updated_is_shown() {
    import(&finding("updated"));
    import(&finding("other"));
    let identifier = json!({"Id": "updated", "ProductArn": PRODUCT});
    let unknown = json!({"Id": "unknown", "ProductArn": PRODUCT});
    let answer = update(&json!({
        "FindingIdentifiers": [identifier, unknown, identifier],
        "Note": {"Text": "Blocked.", "UpdatedBy": "block-ip"},
        "Workflow": {"Status": "RESOLVED"},
        "Severity": {"Label": "LOW"},
        "UserDefinedFields": {"remediation": "block-ip"},
    }))
    .unwrap();
    assert_eq!(answer["ProcessedFindings"], json!([identifier]));
    let unprocessed = answer["UnprocessedFindings"].as_array().unwrap();
    assert_eq!(
        (&unprocessed[0]["FindingIdentifier"], &unprocessed[0]["ErrorCode"]),
        (&unknown, &json!("FindingNotFound"))
    );
    assert_eq!(unprocessed[1]["ErrorCode"], "DuplicatedFindingIdentifier");

    let shown = get("updated");
    assert_eq!(shown["Note"]["Text"], "Blocked.");
    assert_eq!(shown["Workflow"]["Status"], "RESOLVED");
    assert_eq!(shown["Severity"], json!({"Label": "LOW", "Normalized": 1}));
    assert_eq!(shown["UserDefinedFields"], json!({"remediation": "block-ip"}));
    assert_eq!(shown["UpdatedAt"], "2026-01-01T00:00:00Z", "it belongs to the provider");
    assert_eq!(get("other")["Workflow"]["Status"], "NEW");

    let mut again = finding("updated");
    again["Workflow"] = json!({"Status": "NEW"});
    again["Title"] = json!("Another title");
    import(&again);
    let shown = get("updated");
    assert_eq!(
        (&shown["Workflow"]["Status"], &shown["Title"]),
        (&json!("RESOLVED"), &json!("Another title"))
    );
}

#[test]
fn what_the_model_does_not_allow_is_refused() {
    let identifiers = json!([{"Id": "x", "ProductArn": PRODUCT}]);
    for wrong in [
        json!({}),
        json!({"FindingIdentifiers": []}),
        json!({"FindingIdentifiers": [{"Id": "x"}]}),
        json!({"FindingIdentifiers": identifiers, "Workflow": {"Status": "DONE"}}),
        json!({"FindingIdentifiers": identifiers, "Note": {"Text": "no author"}}),
        json!({"FindingIdentifiers": identifiers, "Confidence": 101}),
        json!({"FindingIdentifiers": identifiers, "UserDefinedFields": {"number": 1}}),
        json!({"FindingIdentifiers": identifiers, "Workflow": {"State": "RESOLVED"}}),
    ] {
        assert_eq!(
            update(&wrong).unwrap_err().code(),
            Some("InvalidInputException"),
            "{wrong}"
        );
    }
}

#[test]
fn ocsf_findings() {
    let finding = json!({
        "cloud": {"account": {"uid": "111122223333"}}, "finding_info": {"uid": "finding"}, "status_id": 1,
        "metadata": {"uid": "metadata", "product": {"uid": "product"}},
    });
    CLOUD.extension().import_ocsf_findings(&[finding]).unwrap();
    let identifier =
        json!({"CloudAccountUid": "111122223333", "FindingInfoUid": "finding", "MetadataProductUid": "product"});
    let update = |body: &Value| CLOUD.security_hub("PATCH", "/findingsv2/batchupdatev2", Some(body));
    let answer = update(
        &json!({"FindingIdentifiers": [identifier], "MetadataUids": ["unknown"], "StatusId": 4, "Comment": "Blocked."}),
    )
    .unwrap();
    assert_eq!(
        answer["ProcessedFindings"],
        json!([{"FindingIdentifier": identifier, "MetadataUid": "metadata"}])
    );
    assert_eq!(
        answer["UnprocessedFindings"][0]["ErrorCode"],
        "ResourceNotFoundException"
    );
    let shown = CLOUD.security_hub("POST", "/findingsv2", Some(&json!({}))).unwrap();
    let shown = &shown["Findings"][0];
    assert_eq!(
        (&shown["status_id"], &shown["status"], &shown["comment"]),
        (&json!(4), &json!("Resolved"), &json!("Blocked."))
    );
    let error = update(&json!({"MetadataUids": ["metadata"], "StatusId": 7})).unwrap_err();
    assert_eq!(error.code(), Some("ValidationException"));
}
