//! What is to be encrypted.

use std::fmt;

use remediation::ids::Region;
use serde::{Deserialize, Serialize};

/// What is acted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The encryption of new volumes and snapshots in a Region of the account.
    Default(Region),
    /// A volume that is there, by its id.
    Volume(Region, String),
    /// A database that is there: an instance, or a cluster.
    Database(Region, Database),
}

/// A database, as a finding names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Database {
    /// An instance, by its identifier.
    Instance(String),
    /// An instance, by its resource id, `db-…`, which AWS Config sends.
    InstanceById(String),
    /// A cluster, by its identifier.
    Cluster(String),
}

impl Target {
    /// Its Region.
    #[must_use]
    pub fn region(&self) -> &Region {
        match self {
            Self::Default(region) | Self::Volume(region, _) | Self::Database(region, _) => region,
        }
    }

    /// By what exemptions name it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Default(region) => format!("region/{region}"),
            Self::Volume(_, id) => format!("volume/{id}"),
            Self::Database(_, Database::Cluster(id)) => format!("cluster/{id}"),
            Self::Database(_, Database::Instance(id) | Database::InstanceById(id)) => format!("db/{id}"),
        }
    }

    /// Where it is dealt with.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Default(region) => Scope::Default(region.clone()),
            other => Scope::Existing(other.region().clone(), other.name()),
        }
    }

    /// How a person encrypts it. Storage that is there keeps the encryption that it was made with: only a copy has another.
    #[must_use]
    pub fn runbook(&self) -> Option<String> {
        let region = self.region();
        let text = match self {
            Self::Default(_) => return None,
            Self::Volume(_, volume) => format!(
                "stop what writes to {volume}, then: aws ec2 create-snapshot --region {region} --volume-id {volume}; \
                 aws ec2 copy-snapshot --region {region} --source-region {region} --source-snapshot-id SNAPSHOT --encrypted; \
                 aws ec2 create-volume --region {region} --availability-zone ZONE --snapshot-id COPY; \
                 aws ec2 detach-volume --region {region} --volume-id {volume}; \
                 aws ec2 attach-volume --region {region} --volume-id NEW --instance-id INSTANCE --device DEVICE. \
                 Keep {volume} until the new one has proved itself"
            ),
            Self::Database(_, Database::Cluster(id)) => format!(
                "stop what writes to {id}, then: aws rds create-db-cluster-snapshot --region {region} --db-cluster-identifier {id} \
                 --db-cluster-snapshot-identifier {id}-plain; aws rds restore-db-cluster-from-snapshot --region {region} --snapshot-identifier \
                 {id}-plain --db-cluster-identifier {id}-encrypted --engine ENGINE --kms-key-id KEY, with instances in it; then point the \
                 applications to the new endpoint, and keep {id} until it has proved itself"
            ),
            Self::Database(_, database) => {
                let (id, before) = match database {
                    Database::InstanceById(id) => {
                        let find = format!(
                            "aws rds describe-db-instances --region {region} --filters Name=dbi-resource-id,Values={id} says its IDENTIFIER; "
                        );
                        ("IDENTIFIER", find)
                    }
                    Database::Instance(id) | Database::Cluster(id) => (id.as_str(), String::new()),
                };
                format!(
                    "{before}stop what writes to it, then: aws rds create-db-snapshot --region {region} --db-instance-identifier {id} \
                     --db-snapshot-identifier {id}-plain; aws rds copy-db-snapshot --region {region} --source-db-snapshot-identifier {id}-plain \
                     --target-db-snapshot-identifier {id}-encrypted --kms-key-id KEY; aws rds restore-db-instance-from-db-snapshot --region {region} \
                     --db-snapshot-identifier {id}-encrypted --db-instance-identifier {id}-new, in the same subnet group and security groups; then \
                     rename the two, or point the applications to the new endpoint, and keep the old one until it has proved itself"
                )
            }
        };
        Some(text)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default(_) => f.write_str("EBS encryption by default"),
            other => f.write_str(&other.name()),
        }
    }
}

/// What one look, and one write, covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The default of a Region.
    Default(Region),
    /// What is there already: a person has to look.
    Existing(Region, String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default(region) => write!(f, "ebs-encryption/{region}"),
            Self::Existing(region, name) => write!(f, "existing/{region}/{name}"),
        }
    }
}
