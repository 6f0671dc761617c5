"""Reads the resources of the reference environment back, in CloudFormation's spelling, and completes what CloudFormation on the local cloud drops."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

import read_back
from deploy import complete_table
from makers import permission, renamed, send

Client = Callable[[str], Any]
Json = dict[str, Any]
Reader = Callable[[Client, str, Json], Any]
Completer = Callable[[Client, str, Json], None]


def only(items: list[Json], what: str) -> Json:
    if len(items) != 1:
        raise LookupError(f"{what}: there are {len(items)}")
    return items[0]


# ---------------------------------------------------------------- EC2


def _ec2(operation: str, parameter: str, member: str) -> Reader:
    def read(client: Client, identifier: str, _: Json) -> Json:
        return only(getattr(client("ec2"), operation)(**{parameter: [identifier]})[member], identifier)

    return read


def _vpc(client: Client, vpc: str, _: Json) -> Json:
    def flag(name: str) -> bool:
        return client("ec2").describe_vpc_attribute(VpcId=vpc, Attribute=name)[name[0].upper() + name[1:]]["Value"]

    found = only(client("ec2").describe_vpcs(VpcIds=[vpc])["Vpcs"], vpc)
    return found | {"EnableDnsSupport": flag("enableDnsSupport"), "EnableDnsHostnames": flag("enableDnsHostnames")}


def _gateway_attachment(client: Client, _: str, properties: Json) -> Json:
    gateway = properties["InternetGatewayId"]
    found = only(client("ec2").describe_internet_gateways(InternetGatewayIds=[gateway])["InternetGateways"], gateway)
    return {"InternetGatewayId": gateway, "VpcId": only(found["Attachments"], gateway)["VpcId"]}


def _route_table(client: Client, table: str) -> Json:
    return only(client("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"], table)


def _route(client: Client, _: str, properties: Json) -> Json:
    table, target = properties["RouteTableId"], properties["DestinationCidrBlock"]
    routes = _route_table(client, table)["Routes"]
    return only([route for route in routes if route.get("DestinationCidrBlock") == target], target) | {"RouteTableId": table}


def _route_association(client: Client, association: str, properties: Json) -> Json:
    places = _route_table(client, properties["RouteTableId"])["Associations"]
    return only([place for place in places if place["RouteTableAssociationId"] == association], association)


def _permissions(group: Json, direction: str) -> list[Json]:
    """The group's rules, each with one peer."""
    each = []
    for rule in group["IpPermissionsEgress" if direction == "Egress" else "IpPermissions"]:
        ports = {name: rule[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in rule}
        for peers in ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs"):
            wanted = ("CidrIp", "CidrIpv6", "PrefixListId", "GroupId", "Description")
            each += [ports | {peers: [{name: peer[name] for name in wanted if name in peer}]} for peer in rule.get(peers, [])]
    return each


def _group(client: Client, identifier: str, properties: Json) -> Json:
    group = only(client("ec2").describe_security_groups(GroupIds=[identifier])["SecurityGroups"], identifier)
    found = group | {"GroupDescription": group["Description"]}
    for direction in ("Ingress", "Egress"):
        there = _permissions(group, direction)
        rules = properties.get(f"SecurityGroup{direction}", [])
        found[f"SecurityGroup{direction}"] = [rule if permission(rule) in there else None for rule in rules]
    return found


def _group_rule(client: Client, identifier: str, properties: Json) -> Json:
    filters = [{"Name": "group-id", "Values": [properties["GroupId"]]}]
    rules = client("ec2").describe_security_group_rules(Filters=filters)["SecurityGroupRules"]
    rule = only([rule for rule in rules if rule["SecurityGroupRuleId"] == identifier], identifier)
    peer = rule.get("ReferencedGroupInfo", {}).get("GroupId")
    side = "Destination" if rule["IsEgress"] else "Source"
    named = {f"{side}SecurityGroupId": peer} if peer else {"CidrIp": rule.get("CidrIpv4"), "CidrIpv6": rule.get("CidrIpv6")}
    return rule | named


def _acl_entry(client: Client, _: str, properties: Json) -> Json:
    acl = _ec2("describe_network_acls", "NetworkAclIds", "NetworkAcls")(client, properties["NetworkAclId"], properties)
    place = (properties["RuleNumber"], properties.get("Egress", False))
    entries = [entry for entry in acl["Entries"] if (entry["RuleNumber"], entry["Egress"]) == place]
    return only(entries, str(place)) | {"NetworkAclId": acl["NetworkAclId"]}


def _acl_association(client: Client, association: str, _: Json) -> Json:
    acls = client("ec2").describe_network_acls()["NetworkAcls"]
    places = [place | {"NetworkAclId": acl["NetworkAclId"]} for acl in acls for place in acl["Associations"]]
    return only([place for place in places if place["NetworkAclAssociationId"] == association], association)


def _flow_log(client: Client, identifier: str, _: Json) -> Json:
    log = only(client("ec2").describe_flow_logs(FlowLogIds=[identifier])["FlowLogs"], identifier)
    return log | {"LogGroupName": log.get("LogGroupName") or log.get("LogDestination")}


def _address(client: Client, address: str, _: Json) -> Json:
    addresses = client("ec2").describe_addresses()["Addresses"]
    return only([found for found in addresses if found["PublicIp"] == address], address)


def _endpoint(client: Client, identifier: str, _: Json) -> Json:
    found = only(client("ec2").describe_vpc_endpoints(VpcEndpointIds=[identifier])["VpcEndpoints"], identifier)
    return found | {"SecurityGroupIds": [group["GroupId"] for group in found.get("Groups", [])]}


# ---------------------------------------------------------------- AWS WAF and Shield


def _web_acl_association(client: Client, _: str, properties: Json) -> Json:
    acl = client("wafv2").get_web_acl_for_resource(ResourceArn=properties["ResourceArn"])["WebACL"]
    return {"ResourceArn": properties["ResourceArn"], "WebACLArn": acl["ARN"]}


def _protection(client: Client, identifier: str, _: Json) -> Json:
    return client("shield").describe_protection(ProtectionId=identifier)["Protection"]


# ---------------------------------------------------------------- Secrets Manager


def _secret(client: Client, arn: str, properties: Json) -> Json:
    """That there is a value of the wanted form; the value itself stays where it is."""
    found = client("secretsmanager").describe_secret(SecretId=arn)
    if wanted := properties.get("GenerateSecretString"):
        value = json.loads(client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])
        fixed = json.loads(wanted["SecretStringTemplate"])
        made = len(value.pop(wanted["GenerateStringKey"], "")) == int(wanted.get("PasswordLength", 32))
        if made and fixed.items() <= value.items():
            found["GenerateSecretString"] = wanted
    return found


def _secret_attachment(client: Client, _: str, properties: Json) -> Json:
    value = json.loads(client("secretsmanager").get_secret_value(SecretId=properties["SecretId"])["SecretString"])
    return properties if {"host", "port", "engine"} <= value.keys() else {"SecretId": properties["SecretId"]}


def _secret_policy(client: Client, arn: str, properties: Json) -> Json:
    policy = client("secretsmanager").get_resource_policy(SecretId=arn)
    return {"SecretId": arn, "ResourcePolicy": json.loads(policy["ResourcePolicy"])}


def _rotation(client: Client, arn: str, _: Json) -> Json:
    return client("secretsmanager").describe_secret(SecretId=arn) | {"SecretId": arn}


# ---------------------------------------------------------------- RDS


def _database(client: Client, name: str, _: Json) -> Json:
    found = only(client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"], name)
    return found | {
        "DBSubnetGroupName": found.get("DBSubnetGroup", {}).get("DBSubnetGroupName"),
        "DBParameterGroupName": next((group["DBParameterGroupName"] for group in found.get("DBParameterGroups", [])), None),
        "VPCSecurityGroups": [group["VpcSecurityGroupId"] for group in found.get("VpcSecurityGroups", [])],
        "Port": found.get("Endpoint", {}).get("Port"),
        "EnableIAMDatabaseAuthentication": found.get("IAMDatabaseAuthenticationEnabled"),
        "EnableCloudwatchLogsExports": found.get("EnabledCloudwatchLogsExports"),
        "EnablePerformanceInsights": found.get("PerformanceInsightsEnabled"),
    }


def _subnet_group(client: Client, name: str, _: Json) -> Json:
    found = only(client("rds").describe_db_subnet_groups(DBSubnetGroupName=name)["DBSubnetGroups"], name)
    return found | {"SubnetIds": [subnet["SubnetIdentifier"] for subnet in found["Subnets"]]}


def _parameter_group(client: Client, name: str, _: Json) -> Json:
    group = only(client("rds").describe_db_parameter_groups(DBParameterGroupName=name)["DBParameterGroups"], name)
    pages = client("rds").get_paginator("describe_db_parameters").paginate(DBParameterGroupName=name)
    values = {item["ParameterName"]: item.get("ParameterValue") for page in pages for item in page["Parameters"]}
    return {"Family": group["DBParameterGroupFamily"], "Description": group["Description"], "Parameters": values}


# ---------------------------------------------------------------- S3


def _bucket(client: Client, name: str, properties: Json) -> Json:
    s3, found = client("s3"), {"BucketName": name}

    def read(member: str, operation: str, shape: Callable[[Json], Any]) -> None:
        if member in properties:
            try:
                found[member] = shape(getattr(s3, operation)(Bucket=name))
            except ClientError as error:
                # Each of these has its own word for «there is none».
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                    raise

    read("BucketEncryption", "get_bucket_encryption", lambda told: _encryption(told["ServerSideEncryptionConfiguration"]))
    read("PublicAccessBlockConfiguration", "get_public_access_block", lambda told: told["PublicAccessBlockConfiguration"])
    read("OwnershipControls", "get_bucket_ownership_controls", lambda told: told["OwnershipControls"])
    read("VersioningConfiguration", "get_bucket_versioning", lambda told: {"Status": told.get("Status")})
    read("LifecycleConfiguration", "get_bucket_lifecycle_configuration", _lifecycle)
    read("LoggingConfiguration", "get_bucket_logging", lambda told: _logging(told.get("LoggingEnabled", {})))
    read("ObjectLockEnabled", "get_object_lock_configuration", lambda told: told["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled")
    read("ObjectLockConfiguration", "get_object_lock_configuration", lambda told: told["ObjectLockConfiguration"])
    return found


def _encryption(found: Json) -> Json:
    rules = [{renamed: rule[name] for name, renamed in (("ApplyServerSideEncryptionByDefault", "ServerSideEncryptionByDefault"),
              ("BucketKeyEnabled", "BucketKeyEnabled")) if name in rule} for rule in found["Rules"]]  # fmt: skip
    return {"ServerSideEncryptionConfiguration": rules}


def _lifecycle(found: Json) -> Json:
    def rule(told: Json) -> Json:
        days = told.get("Expiration", {}).get("Days")
        return {("Id" if name == "ID" else name): value for name, value in told.items()} | ({"ExpirationInDays": days} if days else {})

    return {"Rules": [rule(told) for told in found["Rules"]]}


def _logging(found: Json) -> Json:
    return {"DestinationBucketName": found.get("TargetBucket"), "LogFilePrefix": found.get("TargetPrefix")}


def _complete_bucket(client: Client, name: str, properties: Json) -> None:
    """Sets what CloudFormation there drops of a bucket."""
    if wanted := properties.get("BucketEncryption"):
        rules = [renamed(rule, {"ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault"})
                 for rule in wanted["ServerSideEncryptionConfiguration"]]  # fmt: skip
        send(client, "s3", "put_bucket_encryption", {"Bucket": name, "ServerSideEncryptionConfiguration": {"Rules": rules}})
    if wanted := properties.get("OwnershipControls"):
        send(client, "s3", "put_bucket_ownership_controls", {"Bucket": name, "OwnershipControls": wanted})
    if wanted := properties.get("LifecycleConfiguration"):
        rules = [_lifecycle_rule(rule) for rule in wanted["Rules"]]
        send(client, "s3", "put_bucket_lifecycle_configuration", {"Bucket": name, "LifecycleConfiguration": {"Rules": rules}})
    if wanted := properties.get("LoggingConfiguration"):
        logging = {"TargetBucket": wanted["DestinationBucketName"], "TargetPrefix": wanted.get("LogFilePrefix", "")}
        send(client, "s3", "put_bucket_logging", {"Bucket": name, "BucketLoggingStatus": {"LoggingEnabled": logging}})


def _lifecycle_rule(rule: Json) -> Json:
    wanted = {"Filter": {"Prefix": rule.get("Prefix", "")}} | renamed(rule, {"Id": "ID"})
    if (days := wanted.pop("ExpirationInDays", None)) is not None:
        wanted["Expiration"] = {"Days": days}
    return {name: value for name, value in wanted.items() if name != "Prefix"}


# ---------------------------------------------------------------- load balancer


def _load_balancer(client: Client, arn: str, _: Json) -> Json:
    elb = client("elbv2")
    found = only(elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"], arn)
    return found | {
        "Subnets": [zone["SubnetId"] for zone in found["AvailabilityZones"]],
        "LoadBalancerAttributes": elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"],
    }


def _target_group(client: Client, arn: str, _: Json) -> Json:
    elb = client("elbv2")
    found = only(elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"], arn)
    return found | {"TargetGroupAttributes": elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]}


def _listener(client: Client, arn: str, _: Json) -> Json:
    return only(client("elbv2").describe_listeners(ListenerArns=[arn])["Listeners"], arn)


def _attributes(kind: str, parameter: str) -> Reader:
    """The wanted ones, in the wanted order: a service has many more."""

    def read(client: Client, arn: str, properties: Json) -> Json:
        found = (_load_balancer if parameter == "LoadBalancerArn" else _target_group)(client, arn, properties)
        there = {item["Key"]: item["Value"] for item in found[kind]}
        found[kind] = [{"Key": item["Key"], "Value": there.get(item["Key"])} for item in properties.get(kind, [])]
        return found

    return read


def _complete_load_balancer(client: Client, arn: str, properties: Json) -> None:
    wanted = {"LoadBalancerArn": arn, "Attributes": properties["LoadBalancerAttributes"]}
    send(client, "elbv2", "modify_load_balancer_attributes", wanted)


def _complete_target_group(client: Client, arn: str, properties: Json) -> None:
    wanted = {"TargetGroupArn": arn, "Attributes": properties["TargetGroupAttributes"]}
    send(client, "elbv2", "modify_target_group_attributes", wanted)


# ---------------------------------------------------------------- the rest of the data stack


def _repository(client: Client, name: str, _: Json) -> Json:
    found = only(client("ecr").describe_repositories(repositoryNames=[name])["repositories"], name)
    try:
        text = client("ecr").get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"]
        found["LifecyclePolicy"] = {"LifecyclePolicyText": text}
    except client("ecr").exceptions.LifecyclePolicyNotFoundException:
        pass
    return found


def _alias(client: Client, name: str, _: Json) -> Json:
    return only([alias for alias in client("kms").list_aliases()["Aliases"] if alias["AliasName"] == name], name)


def _table(client: Client, name: str, properties: Json) -> Json:
    found = read_back.READERS["AWS::DynamoDB::Table"](client, name, properties)
    told = found.get("SSEDescription", {})
    return found | {"SSESpecification": {"SSEEnabled": told.get("Status") == "ENABLED", "SSEType": told.get("SSEType"),
                                         "KMSMasterKeyId": told.get("KMSMasterKeyArn")}}  # fmt: skip


# ---------------------------------------------------------------- Cognito


def _user_pool(client: Client, pool: str, _: Json) -> Json:
    found = client("cognito-idp").describe_user_pool(UserPoolId=pool)["UserPool"]
    mfa = client("cognito-idp").get_user_pool_mfa_config(UserPoolId=pool)
    enabled = ["SOFTWARE_TOKEN_MFA"] if mfa.get("SoftwareTokenMfaConfiguration", {}).get("Enabled") else []
    return found | {"UserPoolName": found["Name"], "MfaConfiguration": mfa.get("MfaConfiguration"), "EnabledMfas": enabled}


def _complete_user_pool(client: Client, pool: str, properties: Json) -> None:
    send(client, "cognito-idp", "set_user_pool_mfa_config", {
        "UserPoolId": pool,
        "MfaConfiguration": properties["MfaConfiguration"],
        "SoftwareTokenMfaConfiguration": {"Enabled": "SOFTWARE_TOKEN_MFA" in properties["EnabledMfas"]},
    })  # fmt: skip


def _user_pool_client(client: Client, identifier: str, properties: Json) -> Json:
    pool = properties["UserPoolId"]
    found = client("cognito-idp").describe_user_pool_client(UserPoolId=pool, ClientId=identifier)["UserPoolClient"]
    return found | {"GenerateSecret": "ClientSecret" in found}


def _user_pool_domain(client: Client, domain: str, _: Json) -> Json:
    return client("cognito-idp").describe_user_pool_domain(Domain=domain)["DomainDescription"]


# ---------------------------------------------------------------- ECS


def _cluster(client: Client, name: str, _: Json) -> Json:
    found = only(client("ecs").describe_clusters(clusters=[name], include=["SETTINGS"])["clusters"], name)
    return found | {"ClusterSettings": found.get("settings")}


def _service(client: Client, arn: str, properties: Json) -> Json:
    found = only(client("ecs").describe_services(cluster=properties["Cluster"], services=[arn])["services"], arn)
    return found | {"Cluster": found["clusterArn"].rpartition("/")[2]}


# ---------------------------------------------------------------- API Gateway


def _api(operation: str, parameter: str = "") -> Reader:
    def read(client: Client, identifier: str, properties: Json) -> Json:
        place = {"restApiId": properties.get("RestApiId", identifier)}
        if parameter:
            place[parameter] = identifier
        return getattr(client("apigateway"), operation)(**place) | {"RestApiId": place["restApiId"]}

    return read


def _authorizer(client: Client, identifier: str, properties: Json) -> Json:
    place = {"restApiId": properties["RestApiId"], "authorizerId": identifier.rpartition("|")[2]}
    return client("apigateway").get_authorizer(**place) | {"RestApiId": place["restApiId"]}


def _method(client: Client, _: str, properties: Json) -> Json:
    place = {"restApiId": properties["RestApiId"], "resourceId": properties["ResourceId"], "httpMethod": properties["HttpMethod"]}
    found = client("apigateway").get_method(**place)
    integration = found.get("methodIntegration", {})
    integration["IntegrationHttpMethod"] = integration.get("httpMethod")
    return found | {"Integration": integration, "RestApiId": place["restApiId"], "ResourceId": place["resourceId"]}


def _stage(client: Client, _: str, properties: Json) -> Json:
    place = {"restApiId": properties["RestApiId"], "stageName": properties["StageName"]}
    found = client("apigateway").get_stage(**place)
    names = {"metricsEnabled": "MetricsEnabled", "loggingLevel": "LoggingLevel", "dataTraceEnabled": "DataTraceEnabled",
             "throttlingRateLimit": "ThrottlingRateLimit", "throttlingBurstLimit": "ThrottlingBurstLimit"}  # fmt: skip
    settings = [
        {"ResourcePath": "/" + path.rpartition("/")[0].replace("~1", "/").lstrip("/"), "HttpMethod": path.rpartition("/")[2]}
        | {name: told[key] for key, name in names.items() if key in told}
        for path, told in found.get("methodSettings", {}).items()
    ]
    return found | {
        "RestApiId": place["restApiId"],
        "AccessLogSetting": found.get("accessLogSettings"),
        "MethodSettings": settings,
    }


def _complete_stage(client: Client, _: str, properties: Json) -> None:
    """What CloudFormation writes as properties the API takes as a patch."""
    patch = [
        {"op": "replace", "path": "/accessLogSettings/destinationArn", "value": properties["AccessLogSetting"]["DestinationArn"]},
        {"op": "replace", "path": "/accessLogSettings/format", "value": properties["AccessLogSetting"]["Format"]},
    ]
    names = {"ThrottlingRateLimit": "throttling/rateLimit", "ThrottlingBurstLimit": "throttling/burstLimit", "MetricsEnabled": "metrics/enabled",
             "LoggingLevel": "logging/loglevel", "DataTraceEnabled": "logging/dataTrace"}  # fmt: skip
    for setting in properties.get("MethodSettings", []):
        resource = setting["ResourcePath"].lstrip("/").replace("/", "~1")
        for name, path in names.items():
            if name in setting:
                value = str(setting[name]).lower() if isinstance(setting[name], bool) else str(setting[name])
                patch.append({"op": "replace", "path": f"/{resource}/{setting['HttpMethod']}/{path}", "value": value})
    client("apigateway").update_stage(restApiId=properties["RestApiId"], stageName=properties["StageName"], patchOperations=patch)


# ---------------------------------------------------------------- detection


def _detector(client: Client, identifier: str, _: Json) -> Json:
    found = client("guardduty").get_detector(DetectorId=identifier)
    return found | {"Enable": found["Status"] == "ENABLED"}


def _recorder(client: Client, name: str, _: Json) -> Json:
    found = client("config").describe_configuration_recorders(ConfigurationRecorderNames=[name])["ConfigurationRecorders"]
    status = client("config").describe_configuration_recorder_status(ConfigurationRecorderNames=[name])["ConfigurationRecordersStatus"]
    return only(found, name) | {"recording": only(status, name)["recording"]}


def _trail(client: Client, name: str, _: Json) -> Json:
    api = client("cloudtrail")
    found = api.get_trail(Name=name)["Trail"]
    selectors = api.get_event_selectors(TrailName=name)
    return found | {
        "TrailName": found["Name"],
        "EnableLogFileValidation": found["LogFileValidationEnabled"],
        "IsLogging": api.get_trail_status(Name=name)["IsLogging"],
        "EventSelectors": selectors.get("EventSelectors", []),
        "AdvancedEventSelectors": selectors.get("AdvancedEventSelectors", []),
    }


def _parameter(client: Client, name: str, _: Json) -> Json:
    told = client("ssm").describe_parameters(ParameterFilters=[{"Key": "Name", "Values": [name]}])["Parameters"]
    return only(told, name) | client("ssm").get_parameter(Name=name)["Parameter"]


READERS: dict[str, Reader] = read_back.READERS | {
    "AWS::ApiGateway::Account": lambda client, _, __: client("apigateway").get_account(),
    "AWS::ApiGateway::Authorizer": _authorizer,
    "AWS::ApiGateway::Deployment": _api("get_deployment", "deploymentId"),
    "AWS::ApiGateway::Method": _method,
    "AWS::ApiGateway::Resource": _api("get_resource", "resourceId"),
    "AWS::ApiGateway::RestApi": _api("get_rest_api"),
    "AWS::ApiGateway::Stage": _stage,
    "AWS::CloudTrail::Trail": _trail,
    "AWS::Cognito::UserPool": _user_pool,
    "AWS::Cognito::UserPoolClient": _user_pool_client,
    "AWS::Cognito::UserPoolDomain": _user_pool_domain,
    "AWS::Config::ConfigRule": lambda client, name, _: only(
        client("config").describe_config_rules(ConfigRuleNames=[name])["ConfigRules"], name
    ),
    "AWS::Config::ConfigurationRecorder": _recorder,
    "AWS::Config::DeliveryChannel": lambda client, name, _: only(
        client("config").describe_delivery_channels(DeliveryChannelNames=[name])["DeliveryChannels"], name
    ),
    "AWS::DynamoDB::Table": _table,
    "AWS::ECR::Repository": _repository,
    "AWS::EC2::EIP": _address,
    "AWS::EC2::FlowLog": _flow_log,
    "AWS::EC2::InternetGateway": _ec2("describe_internet_gateways", "InternetGatewayIds", "InternetGateways"),
    "AWS::EC2::NatGateway": _ec2("describe_nat_gateways", "NatGatewayIds", "NatGateways"),
    "AWS::EC2::NetworkAcl": _ec2("describe_network_acls", "NetworkAclIds", "NetworkAcls"),
    "AWS::EC2::NetworkAclEntry": _acl_entry,
    "AWS::EC2::Route": _route,
    "AWS::EC2::RouteTable": lambda client, table, _: _route_table(client, table),
    "AWS::EC2::SecurityGroup": _group,
    "AWS::EC2::SecurityGroupEgress": _group_rule,
    "AWS::EC2::SecurityGroupIngress": _group_rule,
    "AWS::EC2::Subnet": _ec2("describe_subnets", "SubnetIds", "Subnets"),
    "AWS::EC2::SubnetNetworkAclAssociation": _acl_association,
    "AWS::EC2::SubnetRouteTableAssociation": _route_association,
    "AWS::EC2::VPC": _vpc,
    "AWS::EC2::VPCEndpoint": _endpoint,
    "AWS::EC2::VPCGatewayAttachment": _gateway_attachment,
    "AWS::ECS::Cluster": _cluster,
    "AWS::ECS::Service": _service,
    "AWS::ECS::TaskDefinition": lambda client, arn, _: client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"],
    "AWS::ElasticLoadBalancingV2::Listener": _listener,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _attributes("LoadBalancerAttributes", "LoadBalancerArn"),
    "AWS::ElasticLoadBalancingV2::TargetGroup": _attributes("TargetGroupAttributes", "TargetGroupArn"),
    "AWS::GuardDuty::Detector": _detector,
    "AWS::KMS::Alias": _alias,
    "AWS::RDS::DBInstance": _database,
    "AWS::RDS::DBParameterGroup": _parameter_group,
    "AWS::RDS::DBSubnetGroup": _subnet_group,
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": lambda client, _, properties: {
        "Bucket": properties["Bucket"],
        "PolicyDocument": json.loads(client("s3").get_bucket_policy(Bucket=properties["Bucket"])["Policy"]),
    },
    "AWS::SecretsManager::ResourcePolicy": _secret_policy,
    "AWS::SecretsManager::RotationSchedule": _rotation,
    "AWS::SecretsManager::Secret": _secret,
    "AWS::SecretsManager::SecretTargetAttachment": _secret_attachment,
    "AWS::SecurityHub::Hub": lambda client, arn, _: client("securityhub").describe_hub(HubArn=arn),
    "AWS::Shield::Protection": _protection,
    "AWS::SSM::Parameter": _parameter,
    "AWS::WAFv2::LoggingConfiguration": lambda client, arn, _: client("wafv2").get_logging_configuration(ResourceArn=arn)[
        "LoggingConfiguration"
    ],
    "AWS::WAFv2::WebACLAssociation": _web_acl_association,
}

# Attributes that CloudFormation there does not give, and the member of the read-back that has them.
READ_ATTRIBUTES: dict[str, dict[str, str]] = {"AWS::EC2::VPC": {"CidrBlock": "CidrBlock"}}

COMPLETERS: dict[str, Completer] = {
    "AWS::ApiGateway::Stage": _complete_stage,
    "AWS::Cognito::UserPool": _complete_user_pool,
    "AWS::DynamoDB::Table": complete_table,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _complete_load_balancer,
    "AWS::ElasticLoadBalancingV2::TargetGroup": _complete_target_group,
    "AWS::S3::Bucket": _complete_bucket,
}

# What a service takes but never shows.
WRITE_ONLY: dict[str, set[str]] = read_back.WRITE_ONLY | {
    "AWS::RDS::DBInstance": {"MasterUserPassword"},
    "AWS::SecretsManager::ResourcePolicy": {"BlockPublicPolicy"},
    "AWS::SecretsManager::RotationSchedule": {"RotateImmediatelyOnUpdate"},
}
