//! The AWS resources that a finding names.

use super::{Resource, lenient::Object};

/// Services whose types ASFF writes `Aws<Service><Thing>` and CloudFormation `AWS::<Service>::<Thing>`.
const SERVICES: [(&str, &str); 11] = [
    ("Ec2", "EC2"),
    ("RdsDb", "RDS::DB"),
    ("Iam", "IAM"),
    ("S3", "S3"),
    ("Kms", "KMS"),
    ("Sns", "SNS"),
    ("Sqs", "SQS"),
    ("Ecr", "ECR"),
    ("Efs", "EFS"),
    ("Lambda", "Lambda"),
    ("SecretsManager", "SecretsManager"),
];

/// The type in CloudFormation's spelling; one that is not known stays as it is.
pub(super) fn kind(text: &str) -> String {
    if text == "AwsAccount" {
        return "AWS::::Account".to_owned();
    }
    let known = text.strip_prefix("Aws").and_then(|rest| {
        SERVICES.iter().find_map(|(theirs, ours)| {
            let thing = rest.strip_prefix(theirs)?;
            let separator = if ours.contains("::") { "" } else { "::" };
            thing
                .starts_with(|first: char| first.is_ascii_uppercase())
                .then(|| format!("AWS::{ours}{separator}{thing}"))
        })
    });
    known.unwrap_or_else(|| text.to_owned())
}

/// A resource, with its name and unique id where the details state them.
pub(super) fn read(kind_text: &str, id: String, details: &Object) -> Resource {
    let kind = kind(kind_text);
    let (name, unique_id) = match kind.as_str() {
        "AWS::IAM::User" => (details.get(&["username"]), details.get(&["userid"])),
        "AWS::IAM::Role" => (details.get(&["rolename"]), details.get(&["roleid"])),
        "AWS::IAM::Group" => (details.get(&["groupname"]), details.get(&["groupid"])),
        "AWS::IAM::Policy" => (details.get(&["policyname"]), details.get(&["policyid"])),
        "AWS::S3::Bucket" => (details.get(&["bucketname", "name"]), None),
        _ => (None, None),
    };
    Resource {
        kind,
        id,
        name,
        unique_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_unique_ids_from_the_details() {
        for (kind, details, expected) in [
            (
                "AwsIamPolicy",
                r#"{"PolicyName": "securecart-legacy-admin", "PolicyId": "ANPA2EXAMPLELEGACY00", "AttachmentCount": 2}"#,
                (Some("securecart-legacy-admin"), Some("ANPA2EXAMPLELEGACY00")),
            ),
            (
                "AWS::IAM::Group",
                r#"{"group_name": "operators", "groupId": "AGPA2EXAMPLEOPERATOR"}"#,
                (Some("operators"), Some("AGPA2EXAMPLEOPERATOR")),
            ),
            (
                "AwsIamRole",
                r#"{"RoleName": "securecart-support", "RoleId": "AROA2EXAMPLESUPPORT0"}"#,
                (Some("securecart-support"), Some("AROA2EXAMPLESUPPORT0")),
            ),
            (
                "AwsIamPolicy",
                r#"{"PolicyName": "", "DefaultVersionId": "v1"}"#,
                (None, None),
            ),
            ("AwsKmsKey", r#"{"KeyId": "k", "Name": "n"}"#, (None, None)),
        ] {
            let details = serde_json::from_str(details).unwrap();
            let read = read(kind, String::new(), &details);
            assert_eq!((read.name.as_deref(), read.unique_id.as_deref()), expected);
        }
    }

    #[test]
    fn one_spelling_for_a_type() {
        for (text, expected) in [
            ("AwsIamUser", "AWS::IAM::User"),
            ("AwsIamAccessKey", "AWS::IAM::AccessKey"),
            ("AwsIamRole", "AWS::IAM::Role"),
            ("AwsIamPolicy", "AWS::IAM::Policy"),
            ("AwsIamGroup", "AWS::IAM::Group"),
            ("AwsS3Bucket", "AWS::S3::Bucket"),
            ("AwsKmsKey", "AWS::KMS::Key"),
            ("AwsAccount", "AWS::::Account"),
            ("AWS::S3::Bucket", "AWS::S3::Bucket"),
            ("AwsEc2SecurityGroup", "AWS::EC2::SecurityGroup"),
            ("AwsEc2Volume", "AWS::EC2::Volume"),
            ("AwsRdsDbInstance", "AWS::RDS::DBInstance"),
            ("AwsRdsDbCluster", "AWS::RDS::DBCluster"),
            ("Other", "Other"),
        ] {
            assert_eq!(kind(text), expected);
        }
    }
}
