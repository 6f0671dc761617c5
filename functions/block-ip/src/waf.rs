//! AWS WAF, through its SDK.

use aws_sdk_wafv2::{Client, operation::RequestId, types::Scope};
use ipnet::IpNet;
use remediation::{Approved, Receipt, failure::Failure};
use remediation_aws::{Aws, classify, unexpected};

use crate::ip_set::{Contents, IpSet, IpSets, Replacement, WafScope};

/// AWS WAF in this Region, and in us-east-1 for CloudFront.
#[derive(Debug, Clone)]
pub struct Waf {
    regional: Client,
    cloudfront: Client,
}

impl Waf {
    /// The Region in which CloudFront's IP sets are managed.
    const CLOUDFRONT_REGION: &str = "us-east-1";

    /// With the function's own credentials.
    #[must_use]
    pub fn new(aws: &Aws) -> Self {
        Self {
            regional: Client::new(&aws.paced()),
            cloudfront: Client::new(&aws.paced_in(Self::CLOUDFRONT_REGION)),
        }
    }

    /// Makes the call that every change begins with, as a rehearsal: what comes back says nothing.
    pub async fn rehearse(aws: &Aws) {
        let call = Client::new(&aws.paced()).get_ip_set().scope(Scope::Regional);
        drop(call.name("rehearsal").id("rehearsal").send().await);
    }

    fn client(&self, set: &IpSet) -> (&Client, Scope) {
        match set.waf {
            WafScope::Regional => (&self.regional, Scope::Regional),
            WafScope::CloudFront => (&self.cloudfront, Scope::Cloudfront),
        }
    }
}

impl IpSets for Waf {
    async fn get(&self, set: &IpSet) -> Result<Contents, Failure> {
        const OPERATION: &str = "wafv2:GetIPSet";
        let malformed = |problem: String| unexpected(OPERATION, problem);
        let (client, scope) = self.client(set);
        let call = client.get_ip_set().name(&set.name).id(&set.id).scope(scope);
        let answer = call.send().await.map_err(|error| classify(OPERATION, &error))?;
        let lock_token = answer
            .lock_token
            .ok_or_else(|| malformed(format!("{set}: no lock token")))?;
        let found = answer.ip_set.ok_or_else(|| malformed(format!("{set}: no IP set")))?;
        let addresses = found
            .addresses
            .iter()
            .map(|text| {
                text.parse::<IpNet>()
                    .map(|net| net.trunc())
                    .map_err(|_| malformed(format!("{set}: {text:?} is no CIDR")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Contents {
            addresses,
            lock_token,
            description: found.description.filter(|text| !text.is_empty()),
        })
    }

    async fn update(&self, set: &IpSet, replacement: &Approved<Replacement>) -> Result<Receipt, Failure> {
        let replacement = replacement.write();
        let (client, scope) = self.client(set);
        let answer = client
            .update_ip_set()
            .name(&set.name)
            .id(&set.id)
            .scope(scope)
            .lock_token(&replacement.lock_token)
            .set_description(replacement.description.clone())
            .set_addresses(Some(replacement.addresses.iter().map(ToString::to_string).collect()))
            .send()
            .await
            .map_err(|error| classify("wafv2:UpdateIPSet", &error))?;
        Ok(Receipt {
            request_id: answer.request_id().map(str::to_owned),
        })
    }
}
