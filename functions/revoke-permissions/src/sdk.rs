//! IAM, IAM Access Analyzer and S3, through their SDKs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Instant,
};

use aws_sdk_accessanalyzer::types::Status;
use aws_sdk_iam::{
    Client,
    error::ProvideErrorMetadata,
    operation::RequestId,
    primitives::DateTime,
    types::{
        AttachedPermissionsBoundary, AttachedPolicy, EntityType, GroupDetail, ManagedPolicyDetail, PolicyDetail,
        RoleDetail, StatusType, Tag, UserDetail,
    },
};
use remediation::{
    Approved, Receipt,
    clock::Timestamp,
    failure::{Class, Failure},
    ids::{AccountId, BucketName, PrincipalName, UniqueId},
    policy::{Narrowed, says_the_same},
};
use remediation_aws::{BucketPolicies, InlinePolicies, changed_meanwhile, classify, decoded, found, gone, unexpected};
use tokio::sync::Mutex;

use crate::{
    account::{Account, Holder, Policy, Version},
    iam::{Advice, Policies, Recommendation, Write},
    identity::{Analysis, Bearer, Kind, Place, PolicyArn},
};

/// The services with the function's own credentials, or those of its role in a member account.
#[derive(Debug, Clone)]
pub struct Aws {
    iam: Client,
    aws: remediation_aws::Aws,
    buckets: BucketPolicies,
    /// The account, and since when it was read: whoever asks while it is read for somebody else waits for the next reading, and
    /// shares it. The policies of one batch are looked at together, and nobody sees what was before the question.
    account: Arc<Mutex<Option<Reading>>>,
}

/// Since when an account was read, and what came of it for as long as anybody looks at it: it may be large, and nobody who asks later
/// is served with it.
type Reading = (Instant, Weak<Account>);

/// The code by which IAM says that there is no such thing.
const NONE: &str = "NoSuchEntity";

impl Aws {
    /// For the policies of this account.
    #[must_use]
    pub fn new(aws: &remediation_aws::Aws, account: AccountId) -> Self {
        Self {
            iam: Client::new(&aws.paced()),
            buckets: BucketPolicies::new(aws, account),
            aws: aws.clone(),
            account: Arc::default(),
        }
    }

    /// Makes the call that every change begins with, as a rehearsal: what comes back says nothing.
    pub async fn rehearse(aws: &remediation_aws::Aws) {
        let call = Client::new(&aws.paced()).get_account_authorization_details();
        drop(call.send().await);
    }

    fn inline(&self) -> InlinePolicies {
        InlinePolicies::new(self.iam.clone())
    }

    async fn read_account(&self) -> Result<Account, Failure> {
        const OPERATION: &str = "iam:GetAccountAuthorizationDetails";
        let mut account = Account {
            id: self.buckets.owner().to_string(),
            ..Account::default()
        };
        let filters = [
            EntityType::User,
            EntityType::Role,
            EntityType::Group,
            EntityType::LocalManagedPolicy,
        ];
        let call = self
            .iam
            .get_account_authorization_details()
            .set_filter(Some(filters.into()));
        let mut pages = call.max_items(1000).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| classify(OPERATION, &error))?;
            for user in page.user_detail_list() {
                account.holders.push(self::user(OPERATION, user)?);
            }
            for role in page.role_detail_list() {
                account.holders.push(self::role(OPERATION, role)?);
            }
            for group in page.group_detail_list() {
                account.holders.push(self::group(OPERATION, group)?);
            }
            for policy in page.policies() {
                account.policies.push(self::policy(OPERATION, policy)?);
            }
        }
        Ok(account)
    }

    /// The id and the text of the version that is in force; `None`: there is no such policy.
    async fn in_force(&self, arn: &PolicyArn) -> Result<Option<(String, String)>, Failure> {
        const GET: &str = "iam:GetPolicy";
        const VERSION: &str = "iam:GetPolicyVersion";
        let answer = found(GET, NONE, self.iam.get_policy().policy_arn(arn.as_str()).send().await)?;
        let Some(id) = answer
            .and_then(|answer| answer.policy)
            .and_then(|policy| policy.default_version_id)
        else {
            return Ok(None);
        };
        let call = self.iam.get_policy_version().policy_arn(arn.as_str()).version_id(&id);
        let answer = call.send().await.map_err(|error| classify(VERSION, &error))?;
        let text = answer.policy_version().and_then(|version| version.document());
        let text = text.ok_or_else(|| unexpected(VERSION, format!("{arn} {id} without a document")))?;
        Ok(Some((id, decoded(VERSION, text)?)))
    }

    async fn create_version(&self, arn: &PolicyArn, text: &str) -> Result<Option<String>, Failure> {
        let call = self.iam.create_policy_version().policy_arn(arn.as_str());
        let answer = call.policy_document(text).set_as_default(true).send().await;
        let answer = answer.map_err(|error| classify("iam:CreatePolicyVersion", &error))?;
        Ok(answer.request_id().map(str::to_owned))
    }

    async fn delete_version(&self, arn: &PolicyArn, version: &str) -> Result<(), Failure> {
        let call = self
            .iam
            .delete_policy_version()
            .policy_arn(arn.as_str())
            .version_id(version);
        let answer = found("iam:DeletePolicyVersion", NONE, call.send().await)?;
        drop(answer);
        Ok(())
    }

    async fn new_version(
        &self,
        arn: &PolicyArn,
        from: &str,
        displaced: Option<&str>,
        change: &Narrowed,
    ) -> Result<Option<String>, Failure> {
        const OPERATION: &str = "iam:CreatePolicyVersion";
        let wanted = change
            .after()
            .ok_or_else(|| unexpected(OPERATION, "no text for a managed policy"))?;
        let in_force = self.in_force(arn).await?;
        let is_as_planned = |(id, text): (String, String)| id == from && Some(text.as_str()) == change.before();
        if !in_force.is_some_and(is_as_planned) {
            return Err(changed_meanwhile(OPERATION));
        }
        if let Some(version) = displaced {
            self.delete_version(arn, version).await?;
        }
        self.create_version(arn, wanted).await
    }

    async fn version_back(&self, arn: &PolicyArn, to: &str, ours: &str) -> Result<Option<String>, Failure> {
        const OPERATION: &str = "iam:SetDefaultPolicyVersion";
        let request = match self.in_force(arn).await? {
            Some((id, _)) if id == ours => {
                let call = self
                    .iam
                    .set_default_policy_version()
                    .policy_arn(arn.as_str())
                    .version_id(to);
                let answer = call.send().await.map_err(|error| classify(OPERATION, &error))?;
                answer.request_id().map(str::to_owned)
            }
            // Half-way, only ours is left to go.
            Some((id, _)) if id == to => None,
            _ => return Err(changed_meanwhile(OPERATION)),
        };
        self.delete_version(arn, ours).await?;
        Ok(request)
    }

    /// The text at a place as IAM has it right now.
    async fn text_at(&self, place: &Place) -> Result<Option<String>, Failure> {
        match place {
            Place::Managed(arn) => Ok(self.in_force(arn).await?.map(|(_, text)| text)),
            Place::Inline(bearer, name) => self.inline().get(by_name(bearer), name).await,
            Place::Trust(bearer) => {
                const OPERATION: &str = "iam:GetRole";
                let call = self.iam.get_role().role_name(bearer.name.as_str());
                let answer = found(OPERATION, NONE, call.send().await)?;
                let role = answer.and_then(|answer| answer.role);
                let text = role.and_then(|role| role.assume_role_policy_document);
                text.map(|text| decoded(OPERATION, &text)).transpose()
            }
            Place::Attached(..) | Place::Bucket(_) => Ok(None),
        }
    }

    async fn put_text(
        &self,
        place: &Place,
        before: Option<&str>,
        wanted: Option<&str>,
    ) -> Result<Option<String>, Failure> {
        if let Place::Bucket(bucket) = place {
            return self.buckets.replace(bucket, before, wanted).await;
        }
        if !says_the_same(self.text_at(place).await?.as_deref(), before) {
            return Err(changed_meanwhile("iam:write"));
        }
        match (place, wanted) {
            (Place::Inline(bearer, name), Some(text)) => self.inline().put(by_name(bearer), name, text).await,
            (Place::Inline(bearer, name), None) => self.inline().delete(by_name(bearer), name).await,
            (Place::Trust(bearer), Some(text)) => {
                let call = self.iam.update_assume_role_policy().role_name(bearer.name.as_str());
                let answer = call.policy_document(text).send().await;
                let answer = answer.map_err(|error| classify("iam:UpdateAssumeRolePolicy", &error))?;
                Ok(answer.request_id().map(str::to_owned))
            }
            // The version that was in force before ours is gone: its text becomes another one.
            (Place::Managed(arn), Some(text)) => {
                let ours = self.in_force(arn).await?.map(|(id, _)| id);
                let request = self.create_version(arn, text).await?;
                if let Some(ours) = ours {
                    self.delete_version(arn, &ours).await?;
                }
                Ok(request)
            }
            (place, _) => Err(unexpected("iam:write", format!("no such write at {place}"))),
        }
    }

    /// Whether the policy is on its bearer right now: what takes its place must not be put where it was just taken off.
    async fn is_attached(&self, bearer: &Bearer, arn: &PolicyArn) -> Result<bool, Failure> {
        let name = bearer.name.as_str();
        macro_rules! is_attached {
            ($operation:literal, $call:expr) => {{
                let mut policies = $call.into_paginator().items().send();
                while let Some(policy) = policies.next().await {
                    let policy = policy.map_err(|error| classify($operation, &error))?;
                    if policy.policy_arn() == Some(arn.as_str()) {
                        return Ok(true);
                    }
                }
                Ok(false)
            }};
        }
        match bearer.kind {
            Kind::User => is_attached!(
                "iam:ListAttachedUserPolicies",
                self.iam.list_attached_user_policies().user_name(name)
            ),
            Kind::Role => is_attached!(
                "iam:ListAttachedRolePolicies",
                self.iam.list_attached_role_policies().role_name(name)
            ),
            Kind::Group => is_attached!(
                "iam:ListAttachedGroupPolicies",
                self.iam.list_attached_group_policies().group_name(name)
            ),
        }
    }

    /// First what takes the policy's place, then the policy: at no moment is something needed missing.
    async fn detach(
        &self,
        bearer: &Bearer,
        arn: &PolicyArn,
        replacement: &str,
        change: &Narrowed,
    ) -> Result<Option<String>, Failure> {
        let in_force = self.in_force(arn).await?.map(|(_, text)| text);
        if in_force.as_deref() != change.before() || !self.is_attached(bearer, arn).await? {
            return Err(changed_meanwhile("iam:DetachPolicy"));
        }
        if let Some(text) = change.after() {
            let there = self.inline().get(by_name(bearer), replacement).await?;
            if there.is_some_and(|there| there != text) {
                return Err(changed_meanwhile("iam:PutPolicy"));
            }
            self.inline().put(by_name(bearer), replacement, text).await?;
        }
        let (name, arn) = (bearer.name.as_str(), arn.as_str());
        macro_rules! detach {
            ($operation:literal, $call:expr) => {{
                let answer = found($operation, NONE, $call.policy_arn(arn).send().await)?;
                Ok(answer.and_then(|answer| answer.request_id().map(str::to_owned)))
            }};
        }
        match bearer.kind {
            Kind::User => detach!("iam:DetachUserPolicy", self.iam.detach_user_policy().user_name(name)),
            Kind::Role => detach!("iam:DetachRolePolicy", self.iam.detach_role_policy().role_name(name)),
            Kind::Group => detach!("iam:DetachGroupPolicy", self.iam.detach_group_policy().group_name(name)),
        }
    }

    async fn attach(
        &self,
        bearer: &Bearer,
        arn: &PolicyArn,
        replacement: Option<&str>,
    ) -> Result<Option<String>, Failure> {
        let (name, arn) = (bearer.name.as_str(), arn.as_str());
        macro_rules! attach {
            ($operation:literal, $call:expr) => {{
                let answer = $call.policy_arn(arn).send().await;
                let answer = answer.map_err(|error| classify($operation, &error))?;
                answer.request_id().map(str::to_owned)
            }};
        }
        let request = match bearer.kind {
            Kind::User => attach!("iam:AttachUserPolicy", self.iam.attach_user_policy().user_name(name)),
            Kind::Role => attach!("iam:AttachRolePolicy", self.iam.attach_role_policy().role_name(name)),
            Kind::Group => attach!("iam:AttachGroupPolicy", self.iam.attach_group_policy().group_name(name)),
        };
        if let Some(policy) = replacement {
            self.inline().delete(by_name(bearer), policy).await?;
        }
        Ok(request)
    }
}

fn by_name(bearer: &Bearer) -> remediation_aws::Bearer<'_> {
    let name = bearer.name.as_str();
    match bearer.kind {
        Kind::User => remediation_aws::Bearer::User(name),
        Kind::Role => remediation_aws::Bearer::Role(name),
        Kind::Group => remediation_aws::Bearer::Group(name),
    }
}

fn time(time: &DateTime) -> Option<Timestamp> {
    chrono::DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}

fn bearer(operation: &str, kind: Kind, name: Option<&str>, id: Option<&str>) -> Result<Bearer, Failure> {
    let parsed = name.and_then(PrincipalName::parse).zip(id.and_then(UniqueId::parse));
    let (name, id) = parsed.ok_or_else(|| unexpected(operation, format!("a {kind} {name:?} with the id {id:?}")))?;
    Ok(Bearer { kind, name, id })
}

fn arn(operation: &str, text: Option<&str>) -> Result<PolicyArn, Failure> {
    text.and_then(PolicyArn::parse)
        .ok_or_else(|| unexpected(operation, format!("a policy with the ARN {text:?}")))
}

fn attached(operation: &str, policies: &[AttachedPolicy]) -> Result<Vec<PolicyArn>, Failure> {
    policies
        .iter()
        .map(|policy| arn(operation, policy.policy_arn()))
        .collect()
}

fn inline(operation: &str, policies: &[PolicyDetail]) -> Result<BTreeMap<String, String>, Failure> {
    let each = policies.iter().map(|policy| {
        let text = decoded(operation, policy.policy_document().unwrap_or_default())?;
        Ok((policy.policy_name().unwrap_or_default().to_owned(), text))
    });
    each.collect()
}

fn tags(tags: &[Tag]) -> BTreeMap<String, String> {
    tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}

fn boundary(operation: &str, boundary: Option<&AttachedPermissionsBoundary>) -> Result<Option<PolicyArn>, Failure> {
    let text = boundary.and_then(AttachedPermissionsBoundary::permissions_boundary_arn);
    text.map(|text| arn(operation, Some(text))).transpose()
}

fn user(operation: &str, user: &UserDetail) -> Result<Holder, Failure> {
    let groups = user.group_list().iter().filter_map(|name| PrincipalName::parse(name));
    Ok(Holder {
        bearer: bearer(operation, Kind::User, user.user_name(), user.user_id())?,
        path: user.path().unwrap_or("/").to_owned(),
        tags: tags(user.tags()),
        created: user.create_date().and_then(time),
        attached: attached(operation, user.attached_managed_policies())?,
        inline: inline(operation, user.user_policy_list())?,
        boundary: boundary(operation, user.permissions_boundary())?,
        groups: groups.collect(),
        trust: None,
        last_used: None,
    })
}

fn role(operation: &str, role: &RoleDetail) -> Result<Holder, Failure> {
    let trust = role.assume_role_policy_document().map(|text| decoded(operation, text));
    let used = role.role_last_used().and_then(|used| used.last_used_date());
    Ok(Holder {
        bearer: bearer(operation, Kind::Role, role.role_name(), role.role_id())?,
        path: role.path().unwrap_or("/").to_owned(),
        tags: tags(role.tags()),
        created: role.create_date().and_then(time),
        attached: attached(operation, role.attached_managed_policies())?,
        inline: inline(operation, role.role_policy_list())?,
        boundary: boundary(operation, role.permissions_boundary())?,
        groups: Vec::new(),
        trust: trust.transpose()?,
        last_used: used.and_then(time),
    })
}

fn group(operation: &str, group: &GroupDetail) -> Result<Holder, Failure> {
    Ok(Holder {
        bearer: bearer(operation, Kind::Group, group.group_name(), group.group_id())?,
        path: group.path().unwrap_or("/").to_owned(),
        tags: BTreeMap::new(),
        created: group.create_date().and_then(time),
        attached: attached(operation, group.attached_managed_policies())?,
        inline: inline(operation, group.group_policy_list())?,
        boundary: None,
        groups: Vec::new(),
        trust: None,
        last_used: None,
    })
}

fn policy(operation: &str, policy: &ManagedPolicyDetail) -> Result<Policy, Failure> {
    let arn = arn(operation, policy.arn())?;
    let id = policy.policy_id().and_then(UniqueId::parse);
    let versions = policy.policy_version_list().iter().map(|version| {
        let text = version.document().map(|text| decoded(operation, text)).transpose()?;
        Ok(Version {
            id: version.version_id().unwrap_or_default().to_owned(),
            is_default: version.is_default_version(),
            document: text.ok_or_else(|| unexpected(operation, format!("a version of {arn} without a document")))?,
        })
    });
    Ok(Policy {
        id: id.ok_or_else(|| unexpected(operation, format!("{arn} with the id {:?}", policy.policy_id())))?,
        updated: policy.update_date().and_then(time),
        versions: versions.collect::<Result<_, Failure>>()?,
        arn,
    })
}

impl Policies for Aws {
    async fn account(&self) -> Result<Arc<Account>, Failure> {
        let asked = Instant::now();
        let mut kept = self.account.lock().await;
        if let Some((begun, account)) = kept.as_ref()
            && *begun >= asked
            && let Some(account) = account.upgrade()
        {
            return Ok(account);
        }
        let begun = Instant::now();
        let account = Arc::new(self.read_account().await?);
        *kept = Some((begun, Arc::downgrade(&account)));
        Ok(account)
    }

    async fn aws_managed(&self, arn: &PolicyArn) -> Result<Option<String>, Failure> {
        Ok(self.in_force(arn).await?.map(|(_, text)| text))
    }

    async fn bucket(&self, bucket: &BucketName) -> Result<Option<Option<String>>, Failure> {
        let Some(region) = self.buckets.region(bucket).await? else {
            return Ok(None);
        };
        gone(self.buckets.policy(bucket, &region).await)
    }

    async fn is_active(&self, user: &PrincipalName) -> Result<bool, Failure> {
        const PASSWORD: &str = "iam:GetLoginProfile";
        const KEYS: &str = "iam:ListAccessKeys";
        let call = self.iam.get_login_profile().user_name(user.as_str());
        if found(PASSWORD, NONE, call.send().await)?.is_some() {
            return Ok(true);
        }
        let call = self.iam.list_access_keys().user_name(user.as_str());
        let keys = found(KEYS, NONE, call.send().await)?;
        let keys = keys.map(|keys| keys.access_key_metadata).unwrap_or_default();
        Ok(keys.iter().any(|key| key.status() == Some(&StatusType::Active)))
    }

    /// Recommendations are made in the analyzer's Region, and take some seconds.
    async fn recommendation(&self, analysis: &Analysis) -> Result<Recommendation, Failure> {
        const GET: &str = "access-analyzer:GetFindingRecommendation";
        const GENERATE: &str = "access-analyzer:GenerateFindingRecommendation";
        let mut parts = analysis.analyzer.split(':').skip(3);
        let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        // An organisation's analyzer belongs to the account that looks after all others.
        let config = if account == self.buckets.owner().as_str() {
            self.aws.paced_in(region.to_owned())
        } else {
            self.aws.paced_at_home_in(region.to_owned())
        };
        let client = aws_sdk_accessanalyzer::Client::new(&config);
        let in_progress = || {
            Failure::new(
                Class::Transient,
                GET,
                "InProgress",
                "the recommendation is still being made",
            )
        };
        let mut steps = Vec::new();
        let mut next = None;
        loop {
            let call = client.get_finding_recommendation().analyzer_arn(&analysis.analyzer);
            let answer = call.id(&analysis.finding).set_next_token(next).send().await;
            let Some(answer) = found(GET, "ResourceNotFoundException", answer)? else {
                let call = client
                    .generate_finding_recommendation()
                    .analyzer_arn(&analysis.analyzer);
                return match call.id(&analysis.finding).send().await {
                    Ok(_) => Err(in_progress()),
                    // The finding is gone, or is not one of those that there are recommendations for.
                    Err(error) if error.code() == Some("ValidationException") => Ok(Recommendation::None(
                        "the analyzer makes none for this finding".to_owned(),
                    )),
                    Err(error) => Err(classify(GENERATE, &error)),
                };
            };
            match answer.status() {
                Status::Succeeded => {}
                Status::InProgress => return Err(in_progress()),
                status => {
                    let why = answer
                        .error()
                        .map(|error| format!("{} ({})", error.message, error.code));
                    return Ok(Recommendation::None(why.unwrap_or_else(|| status.as_str().to_owned())));
                }
            }
            for step in answer.recommended_steps() {
                let Ok(step) = step.as_unused_permissions_recommended_step() else {
                    return Ok(Recommendation::None(
                        "it is of a kind that is not known here".to_owned(),
                    ));
                };
                let Some(policy) = step.existing_policy_id() else {
                    return Ok(Recommendation::None("it does not say which policy is meant".to_owned()));
                };
                steps.push(Advice {
                    policy: policy.to_owned(),
                    document: step.recommended_policy().map(str::to_owned),
                    updated: step.policy_updated_at().and_then(time),
                });
            }
            next = answer.next_token().map(str::to_owned);
            if next.is_none() {
                return Ok(Recommendation::Steps(steps));
            }
        }
    }

    async fn write(&self, write: &Approved<Write>) -> Result<Receipt, Failure> {
        let request_id = match write.write() {
            Write::Version {
                policy,
                from,
                displaced,
                change,
                ..
            } => self.new_version(policy, from, displaced.as_deref(), change).await,
            Write::VersionBack { policy, to, ours } => self.version_back(policy, to, ours).await,
            Write::Text { place, change, .. } => self.put_text(place, change.before(), change.after()).await,
            Write::TextBack { place, found, wanted } => self.put_text(place, found.as_deref(), wanted.as_deref()).await,
            Write::Detach {
                bearer,
                policy,
                replacement,
                change,
                ..
            } => self.detach(bearer, policy, replacement, change).await,
            Write::Attach {
                bearer,
                policy,
                replacement,
            } => self.attach(bearer, policy, replacement.as_deref()).await,
        };
        Ok(Receipt {
            request_id: request_id?,
        })
    }
}
