//! EC2, by its Query protocol. The SDK for it is five times as large as the next one, and two functions make seven of its calls.

use std::{collections::BTreeMap, time::SystemTime};

use aws_config::SdkConfig;
use aws_sdk_sts::config::ProvideCredentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::{
    orchestrator::{HttpRequest, HttpResponse, OrchestratorError},
    result::SdkError,
};
use aws_smithy_types::{
    body::SdkBody,
    error::{ErrorMetadata, metadata::ProvideErrorMetadata},
    timeout::TimeoutConfig,
};
use aws_types::service_config::ServiceConfigKey;
use remediation::{
    failure::{Class, Failure},
    ids::{InvalidRegion, Region},
};
use roxmltree::{Document, Node};

use crate::{Aws, classify, unexpected};

/// EC2 in one Region.
#[derive(Debug, Clone)]
pub struct Ec2 {
    config: SdkConfig,
    region: String,
    endpoint: String,
}

/// A rule of a security group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecurityGroupRule {
    /// `sgr-…`.
    pub id: String,
    /// It lets traffic out.
    pub is_egress: bool,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a protocol's number, or `-1` for all.
    pub protocol: String,
    /// The first port, or the ICMP type; `None`, or -1: all.
    pub from: Option<i32>,
    /// The last port, or the ICMP code; `None`, or -1: all.
    pub to: Option<i32>,
    /// From these addresses, IPv4 or IPv6; `None`: from a prefix list or another group.
    pub cidr: Option<String>,
    /// What somebody said of it.
    pub description: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecurityGroup {
    /// Its name, which it keeps.
    pub name: String,
    /// Its rules, in and out.
    pub rules: Vec<SecurityGroupRule>,
}

/// What EC2 refuses, with its code.
#[derive(Debug)]
struct Refused(ErrorMetadata);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for Refused {}

impl ProvideErrorMetadata for Refused {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

/// The API's version, which has been the same since 2016.
const VERSION: &str = "2016-11-15";
/// A page of rules.
const PAGE: &str = "1000";

impl Ec2 {
    /// In this Region of the account that `aws` acts in.
    ///
    /// # Errors
    /// When the text is not the name of a Region.
    pub fn new(aws: &Aws, region: &str) -> Result<Self, Failure> {
        let wrong = |wrong: InvalidRegion| Failure::new(Class::Permanent, "ec2", "InvalidRegion", wrong.to_string());
        Region::parse(region).map_err(wrong)?;
        let config = aws.paced_in(region.to_owned());
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        let default = || format!("https://ec2.{region}.amazonaws.com{suffix}");
        let endpoint = endpoint(&config).unwrap_or_else(default);
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            region: region.to_owned(),
            config,
        })
    }

    /// Makes a call of EC2 in the Region that the function runs in, as a rehearsal: whatever a change begins with takes the same way, and
    /// what comes back says nothing.
    pub async fn rehearse(aws: &Aws) {
        let config = aws.paced();
        if let Ok(ec2) = Self::new(aws, config.region().map_or("", AsRef::as_ref)) {
            drop(ec2.ebs_encryption_by_default().await);
        }
    }

    /// Whether new volumes are encrypted unasked.
    ///
    /// # Errors
    /// When EC2 does not tell.
    pub async fn ebs_encryption_by_default(&self) -> Result<bool, Failure> {
        const OPERATION: &str = "ec2:GetEbsEncryptionByDefault";
        let answer = self.call(OPERATION, &[]).await?;
        let document = parsed(OPERATION, &answer)?;
        match text(document.root_element(), "ebsEncryptionByDefault").as_deref() {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            _ => Err(unexpected(OPERATION, "neither true nor false")),
        }
    }

    /// Sets it, and returns the request's id.
    ///
    /// # Errors
    /// When EC2 refuses.
    pub async fn set_ebs_encryption_by_default(&self, on: bool) -> Result<Option<String>, Failure> {
        let operation = if on {
            "ec2:EnableEbsEncryptionByDefault"
        } else {
            "ec2:DisableEbsEncryptionByDefault"
        };
        self.write(operation, &[]).await
    }

    /// A security group; `None`: there is none of this id.
    ///
    /// # Errors
    /// When EC2 does not tell.
    pub async fn security_group(&self, id: &str) -> Result<Option<SecurityGroup>, Failure> {
        const GROUPS: &str = "ec2:DescribeSecurityGroups";
        const RULES: &str = "ec2:DescribeSecurityGroupRules";
        let group = pair("GroupId.1", id);
        let groups = match self.call(GROUPS, &[group]).await {
            Err(failure) if failure.code == "InvalidGroup.NotFound" => return Ok(None),
            groups => groups?,
        };
        let groups = parsed(GROUPS, &groups)?;
        let Some(group) = items(groups.root_element(), "securityGroupInfo").into_iter().next() else {
            return Ok(None);
        };
        let mut rules = Vec::new();
        let mut token = None;
        loop {
            let mut parameters = vec![
                pair("Filter.1.Name", "group-id"),
                pair("Filter.1.Value.1", id),
                pair("MaxResults", PAGE),
            ];
            parameters.extend(token.take().map(|token: String| pair("NextToken", token)));
            let page = self.call(RULES, &parameters).await?;
            let page = parsed(RULES, &page)?;
            for item in items(page.root_element(), "securityGroupRuleSet") {
                rules.push(rule(item).map_err(|problem| unexpected(RULES, problem))?);
            }
            token = text(page.root_element(), "nextToken").filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        Ok(Some(SecurityGroup {
            name: text(group, "groupName").unwrap_or_default(),
            rules,
        }))
    }

    /// Takes rules for incoming traffic away, by what they let in, and returns the request's id. One that is not there, or lets in
    /// something else by now, is `InvalidPermission.NotFound`; or EC2 answers as if nothing were wrong, and lists it as unknown. So what
    /// has gone only a look shows.
    ///
    /// # Errors
    /// When EC2 refuses.
    pub async fn revoke_ingress(&self, group: &str, rules: &[SecurityGroupRule]) -> Result<Option<String>, Failure> {
        const OPERATION: &str = "ec2:RevokeSecurityGroupIngress";
        let mut parameters = vec![pair("GroupId", group)];
        for (index, rule) in rules.iter().enumerate() {
            parameters.extend(permission(OPERATION, index + 1, rule)?);
        }
        self.write(OPERATION, &parameters).await
    }

    /// Adds a rule for incoming traffic, and returns the request's id. EC2 gives it an id of its own. One that is there already is
    /// `InvalidPermission.Duplicate`.
    ///
    /// # Errors
    /// When EC2 refuses, and for a rule that is not from a range of addresses.
    pub async fn authorize_ingress(&self, group: &str, rule: &SecurityGroupRule) -> Result<Option<String>, Failure> {
        const OPERATION: &str = "ec2:AuthorizeSecurityGroupIngress";
        let mut parameters = vec![pair("GroupId", group)];
        parameters.extend(permission(OPERATION, 1, rule)?);
        if !rule.tags.is_empty() {
            parameters.push(pair("TagSpecification.1.ResourceType", "security-group-rule"));
        }
        for (index, (key, value)) in rule.tags.iter().enumerate() {
            let at = format!("TagSpecification.1.Tag.{}", index + 1);
            parameters.extend([pair(&format!("{at}.Key"), key), pair(&format!("{at}.Value"), value)]);
        }
        self.write(OPERATION, &parameters).await
    }

    async fn write(&self, operation: &str, parameters: &[(String, String)]) -> Result<Option<String>, Failure> {
        let answer = self.call(operation, parameters).await?;
        Ok(text(parsed(operation, &answer)?.root_element(), "requestId"))
    }

    /// Makes a call, and returns the XML of its answer.
    async fn call(&self, operation: &str, parameters: &[(String, String)]) -> Result<String, Failure> {
        let action = operation.rsplit(':').next().unwrap_or(operation);
        // Credentials are renewed: the next try may have some.
        let request = self
            .signed(action, parameters)
            .await
            .map_err(|error| Failure::new(Class::Transient, operation, "NotSigned", causes(&*error)))?;
        let no_client = || Failure::new(Class::Permanent, operation, "InvalidRequest", "no HTTP client");
        let client = self.config.http_client().ok_or_else(no_client)?;
        let timeouts = self.config.timeout_config().cloned();
        let mut call = Operation::builder()
            .service_name("ec2")
            .operation_name(action.to_owned())
            .http_client(client)
            .endpoint_url(&self.endpoint)
            .no_auth()
            .no_retry()
            .timeout_config(timeouts.unwrap_or_else(TimeoutConfig::disabled));
        if let (Some(sleep), Some(time)) = (self.config.sleep_impl(), self.config.time_source()) {
            call = call.sleep_impl(sleep).time_source(time);
        }
        call.serializer(Ok::<HttpRequest, _>)
            .deserializer(read)
            .build()
            .invoke(request)
            .await
            .map_err(|error: SdkError<Refused, HttpResponse>| classify(operation, &error))
    }

    async fn signed(
        &self,
        action: &str,
        parameters: &[(String, String)],
    ) -> Result<HttpRequest, Box<dyn std::error::Error + Send + Sync>> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", VERSION)
            .extend_pairs(parameters)
            .finish();
        let provider = self.config.credentials_provider().ok_or("no credentials")?;
        let identity = provider.provide_credentials().await?.into();
        let signing = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("ec2")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let address = format!("{}/", self.endpoint);
        let bytes = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new("POST", &address, [form].into_iter(), bytes)?;
        let (instructions, _) = sign(signable, &signing)?.into_parts();
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_method("POST")?;
        request.set_uri("/")?;
        let headers = request.headers_mut();
        headers.insert(form.0, form.1);
        for (name, value) in instructions.headers() {
            headers.insert(name.to_owned(), value.to_owned());
        }
        *request.body_mut() = SdkBody::from(body);
        Ok(request)
    }
}

/// What an error says, and what brought it about.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes: Vec<_> = std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect();
    causes.join(": ")
}

/// An endpoint that the environment names, for EC2 or for all services.
fn endpoint(config: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id("EC2")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    let own = config.service_config().and_then(|service| service.load_config(key));
    own.or_else(|| config.endpoint_url().map(str::to_owned))
}

fn read(answer: &HttpResponse) -> Result<String, OrchestratorError<Refused>> {
    let body = answer.body().bytes().unwrap_or_default();
    let body = String::from_utf8_lossy(body).into_owned();
    if answer.status().is_success() {
        return Ok(body);
    }
    let document = Document::parse(&body).ok();
    let error = document
        .as_ref()
        .and_then(|document| document.descendants().find(|node| node.has_tag_name("Error")));
    let part = |name| error.and_then(|error| text(error, name));
    let metadata = ErrorMetadata::builder()
        .code(part("Code").unwrap_or_else(|| "Unknown".to_owned()))
        .message(part("Message").unwrap_or_else(|| "no message".to_owned()))
        .build();
    Err(OrchestratorError::operation(Refused(metadata)))
}

/// A rule as the calls that write one name it.
fn permission(operation: &str, number: usize, rule: &SecurityGroupRule) -> Result<Vec<(String, String)>, Failure> {
    let cidr = rule
        .cidr
        .as_ref()
        .ok_or_else(|| unexpected(operation, "a rule without a range of addresses"))?;
    let at = format!("IpPermissions.{number}");
    let (range, key) = if cidr.contains(':') {
        (format!("{at}.Ipv6Ranges.1"), "CidrIpv6")
    } else {
        (format!("{at}.IpRanges.1"), "CidrIp")
    };
    let mut parameters = vec![
        pair(&format!("{at}.IpProtocol"), &rule.protocol),
        pair(&format!("{range}.{key}"), cidr),
    ];
    // All protocols have no ports.
    if rule.protocol != "-1" {
        let ports = [("FromPort", rule.from), ("ToPort", rule.to)].into_iter();
        parameters.extend(ports.filter_map(|(name, port)| Some(pair(&format!("{at}.{name}"), port?.to_string()))));
    }
    let description = rule
        .description
        .as_ref()
        .map(|text| pair(&format!("{range}.Description"), text));
    parameters.extend(description);
    Ok(parameters)
}

fn pair(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

fn parsed<'a>(operation: &str, answer: &'a str) -> Result<Document<'a>, Failure> {
    Document::parse(answer).map_err(|error| unexpected(operation, error.to_string()))
}

/// The children of a set.
fn items<'a>(parent: Node<'a, 'a>, set: &str) -> Vec<Node<'a, 'a>> {
    let set = parent.children().find(|node| node.tag_name().name() == set);
    let children = set.into_iter().flat_map(|set| set.children());
    children.filter(|node| node.tag_name().name() == "item").collect()
}

fn text(parent: Node<'_, '_>, name: &str) -> Option<String> {
    let child = parent.children().find(|node| node.tag_name().name() == name)?;
    Some(child.text().unwrap_or_default().to_owned())
}

/// What cannot be read of a rule is said: it may be what makes it dangerous.
fn rule(item: Node<'_, '_>) -> Result<SecurityGroupRule, String> {
    let id = text(item, "securityGroupRuleId").ok_or("a rule without an id")?;
    let port = |name| {
        let port = text(item, name).map(|port| port.parse().map_err(|_| format!("{id} has {port:?} as {name}")));
        port.transpose()
    };
    let tag = |tag| Some((text(tag, "key")?, text(tag, "value").unwrap_or_default()));
    Ok(SecurityGroupRule {
        is_egress: text(item, "isEgress").as_deref() == Some("true"),
        protocol: text(item, "ipProtocol").ok_or_else(|| format!("{id} has no protocol"))?,
        from: port("fromPort")?,
        to: port("toPort")?,
        cidr: text(item, "cidrIpv4").or_else(|| text(item, "cidrIpv6")),
        description: text(item, "description").filter(|text| !text.is_empty()),
        tags: items(item, "tagSet").into_iter().filter_map(tag).collect(),
        id,
    })
}

#[cfg(test)]
mod tests {
    use aws_credential_types::{
        Credentials, credential_fn::provide_credentials_fn, provider::SharedCredentialsProvider,
        provider::error::CredentialsError,
    };

    use super::*;

    fn ec2(provider: Option<SharedCredentialsProvider>) -> Ec2 {
        let mut config = SdkConfig::builder();
        config.set_credentials_provider(provider);
        Ec2::new(&Aws::from_config(config.build()), "us-east-1").unwrap()
    }

    #[tokio::test]
    async fn without_credentials_it_is_tried_again_and_the_cause_is_told() {
        let provider = provide_credentials_fn(|| async {
            let cause = std::io::Error::other("the agent is restarting");
            Err::<Credentials, _>(CredentialsError::provider_error(cause))
        });
        let failing = ec2(Some(SharedCredentialsProvider::new(provider)));
        for (ec2, cause) in [(ec2(None), "no credentials"), (failing, "the agent is restarting")] {
            let failure = ec2.ebs_encryption_by_default().await.unwrap_err();
            assert_eq!((failure.class, failure.code.as_str()), (Class::Transient, "NotSigned"));
            assert!(failure.message.contains(cause), "{failure}");
        }
    }

    #[test]
    fn what_is_no_region_is_no_part_of_an_address() {
        let aws = Aws::from_config(SdkConfig::builder().build());
        for region in ["", "us-east-1.example.com/", "us-east-1\n", "evil"] {
            assert_eq!(Ec2::new(&aws, region).unwrap_err().code, "InvalidRegion", "{region:?}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_read_is_no_other_rule() {
        let read = |parts: &str| {
            let item = format!("<item>{parts}</item>");
            rule(Document::parse(&item).unwrap().root_element())
        };
        let named = "<securityGroupRuleId>sgr-1</securityGroupRuleId><ipProtocol>tcp</ipProtocol>";
        let all = read(named).unwrap();
        assert_eq!((all.from, all.to), (None, None));
        let some = read(&format!("{named}<fromPort>-1</fromPort><toPort>22</toPort>")).unwrap();
        assert_eq!((some.from, some.to), (Some(-1), Some(22)));
        for port in ["", "ssh", "2.5", "99999999999"] {
            let wrong = read(&format!("{named}<fromPort>22</fromPort><toPort>{port}</toPort>")).unwrap_err();
            assert!(wrong.contains("sgr-1") && wrong.contains("toPort"), "{wrong}");
        }
        assert!(
            read("<securityGroupRuleId>sgr-1</securityGroupRuleId>")
                .unwrap_err()
                .contains("protocol")
        );
        assert!(read("<ipProtocol>tcp</ipProtocol>").unwrap_err().contains("id"));
    }
}
