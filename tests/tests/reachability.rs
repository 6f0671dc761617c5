//! What reaches what: the deployed network, read back through EC2, and the source's tables as they are written.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use local_cloud::{LocalCloud, workspace};
use securecart_tests::network::{
    Allow, Connection, Described, Entry, Group, Leg, Network, Party, Peer, Protocol, REST, Stop, Subnet, Target,
    Traffic,
};
use serde_json::{Value, json};

/// The lowest and the highest port that a client may choose, the lowest of Linux, and one between.
const CLIENT_PORTS: [u16; 4] = [1024, 32_768, 50_000, 65_535];
/// Of the documentation's addresses, for somebody on the Internet.
const SOMEBODY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

/// Which kind of rule stops a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Group,
    Acl,
    Route,
}
use Layer::{Acl, Group as Groups, Route};

fn layer(stop: &Stop) -> Layer {
    match stop {
        Stop::GroupOut | Stop::GroupIn => Groups,
        Stop::AclOut(..) | Stop::AclIn(..) => Acl,
        Stop::Route(_) => Route,
    }
}

/// A row of the table, with what stops the first packet. By nothing: the connection works, its answer too.
struct Row {
    what: &'static str,
    from: Vec<Party>,
    to: Vec<Party>,
    ports: &'static [u16],
    stopped_by: &'static [Layer],
}

/// The deployed network, and who is where in it: one of each in each zone.
struct Deployed {
    with_nat: bool,
    network: Network,
    acls: BTreeMap<String, &'static str>,
    balancers: Vec<Party>,
    tasks: Vec<Party>,
    functions: Vec<Party>,
    endpoints: Vec<Party>,
    databases: Vec<Party>,
}

impl Deployed {
    fn read(cloud: &LocalCloud, with_nat: bool, with_endpoints: bool) -> Self {
        let template = workspace().unwrap().join("stacks/network.yaml");
        let flag = |flag| if flag { "true" } else { "false" };
        let parameters = [
            ("NatGateways", flag(with_nat)),
            ("InterfaceEndpoints", flag(with_endpoints)),
        ];
        let name = format!("network-{with_nat}-{with_endpoints}");
        let deployed = cloud.deploy_stacks(&template, &name, &[], &parameters).unwrap();
        let outputs = &deployed.stacks["network"].outputs;
        let of_vpc = json!({ "Filters": [{ "Name": "vpc-id", "Values": [outputs["VpcId"]] }] });
        let answers = cloud.boto3(&[
            ("ec2", "describe_subnets", of_vpc.clone()),
            ("ec2", "describe_route_tables", of_vpc.clone()),
            ("ec2", "describe_network_acls", of_vpc.clone()),
            ("ec2", "describe_security_groups", of_vpc),
            ("ec2", "describe_nat_gateways", json!({})),
        ]);
        let answers: Vec<Value> = answers.unwrap().into_iter().map(Result::unwrap).collect();
        let [subnets, route_tables, acls, groups, nats] = answers.as_slice() else {
            panic!("five answers")
        };
        let network = Network::read(Described {
            subnets,
            route_tables,
            acls,
            groups,
            nats,
        });
        let network = network.unwrap();
        let output = |name: &str| outputs[name].as_str().unwrap().to_owned();
        let host = 20;
        let each = |tier: &str, group: &str, place: usize, public: bool| {
            let subnets = output(&format!("{tier}SubnetIds"));
            let party = |subnet: &str| {
                let address = network.subnets[subnet].network.hosts().nth(place).unwrap();
                Party::inside(address, &output(&format!("{group}SecurityGroupId")), public)
            };
            subnets.split(',').map(party).collect::<Vec<_>>()
        };
        let acls = ["Public", "Private", "Database"].map(|tier| output(&format!("{tier}AclId")));
        Self {
            with_nat,
            balancers: each("Public", "Alb", host, true),
            tasks: each("Private", "Task", host, false),
            functions: each("Private", "OrderFunction", host + 1, false),
            endpoints: each("Private", "Endpoint", host + 2, false),
            databases: each("Database", "Database", host, false),
            acls: acls.into_iter().zip(["public", "private", "database"]).collect(),
            network,
        }
    }

    fn rows(&self) -> Vec<Row> {
        let internet = vec![Party::outside(SOMEBODY)];
        let row = |what, from: &[Party], to: &[Party], ports, stopped_by| Row {
            what,
            from: from.to_vec(),
            to: to.to_vec(),
            ports,
            stopped_by,
        };
        let Self {
            balancers,
            tasks,
            functions,
            endpoints,
            databases,
            ..
        } = self;
        let by_nat: &[Layer] = if self.with_nat { &[] } else { &[Route] };
        let high: &[Layer] = if self.with_nat { &[Groups] } else { &[Groups, Acl] };
        let out: &[Layer] = if self.with_nat {
            &[Groups, Acl]
        } else {
            &[Groups, Acl, Route]
        };
        vec![
            row("Internet to ALB", &internet, balancers, &[443, 80], &[]),
            row("ALB to tasks", balancers, tasks, &[8080], &[]),
            row("tasks to RDS", tasks, databases, &[5432], &[]),
            row("tasks to AWS APIs, by NAT", tasks, &internet, &[443], by_nat),
            row("functions to AWS APIs, by NAT", functions, &internet, &[443], by_nat),
            row("Internet to ALB, SSH", &internet, balancers, &[22], &[Groups, Acl]),
            // The network ACL has to let the answers to NAT in, which go to high ports.
            row("Internet to ALB, another port", &internet, balancers, &[8080], high),
            row("Internet to tasks", &internet, tasks, &[8080], &[Groups, Route]),
            row("Internet to tasks, SSH", &internet, tasks, &[22], &[Groups, Acl, Route]),
            row("Internet to RDS", &internet, databases, &[5432], &[Groups, Acl, Route]),
            row(
                "Internet to functions and endpoints",
                &internet,
                &[functions.as_slice(), endpoints].concat(),
                &[443],
                &[Groups, Acl, Route],
            ),
            row("ALB to RDS", balancers, databases, &[5432], &[Groups, Acl]),
            row(
                "ALB to tasks, another port",
                balancers,
                tasks,
                &[22, 443, 5432],
                &[Groups, Acl],
            ),
            row("tasks to Internet, mail and SSH", tasks, &internet, &[25, 22], out),
            row("functions to RDS", functions, databases, &[5432], &[Groups]),
            row(
                "RDS to Internet",
                databases,
                &internet,
                &[443, 80, 25, 53],
                &[Groups, Acl, Route],
            ),
            row("RDS to tasks, HTTPS", databases, tasks, &[443], &[Groups, Acl]),
            // The network ACLs have to let answers through, which go to high ports. An answer to this they stop.
            row(
                "RDS to tasks, a new connection",
                databases,
                tasks,
                &[8080, 5432],
                &[Groups],
            ),
            row("RDS to ALB", databases, balancers, &[443, 80], &[Groups, Acl]),
            // Without endpoints of ours GuardDuty's remains, which it puts there by itself.
            row("tasks to AWS APIs, by endpoint", tasks, endpoints, &[443], &[]),
            row("functions to AWS APIs, by endpoint", functions, endpoints, &[443], &[]),
        ]
    }

    /// The combinations of a row that are not as it says.
    fn wrong(&self, row: &Row) -> Vec<String> {
        let mut wrong = Vec::new();
        for (from, to) in row.from.iter().flat_map(|from| row.to.iter().map(move |to| (from, to))) {
            for (port, client_port) in row
                .ports
                .iter()
                .flat_map(|port| CLIENT_PORTS.map(|client| (*port, client)))
            {
                let stops = self.network.stops(from, to, tcp(port, client_port));
                let requests = stops.iter().filter(|(leg, _)| *leg == Leg::Request);
                let layers: BTreeSet<Layer> = requests.map(|(_, stop)| layer(stop)).collect();
                let expected: BTreeSet<Layer> = row.stopped_by.iter().copied().collect();
                if layers != expected || (expected.is_empty() && !stops.is_empty()) {
                    let (from, to) = (from.address, to.address);
                    wrong.push(format!("{}: {from}:{client_port} to {to}:{port}: {stops:?}", row.what));
                }
            }
        }
        wrong
    }

    /// Whether everything works that has to.
    fn works(&self) -> bool {
        let passing = self.rows().into_iter().filter(|row| row.stopped_by.is_empty());
        passing.map(|row| self.wrong(&row)).all(|wrong| wrong.is_empty())
    }
}

fn tcp(port: u16, client_port: u16) -> Connection {
    Connection {
        protocol: Protocol::Tcp,
        port,
        client_port,
    }
}

/// With NAT gateways and endpoints, and with one of them alone.
#[test]
fn s89_the_deployed_network() {
    let cloud = LocalCloud::start(&|_| {}).unwrap();
    for (with_nat, with_endpoints) in [(true, true), (false, true), (true, false)] {
        let mut deployed = Deployed::read(&cloud, with_nat, with_endpoints);
        let wrong: Vec<String> = deployed.rows().iter().flat_map(|row| deployed.wrong(row)).collect();
        assert!(
            wrong.is_empty(),
            "NAT {with_nat}, endpoints {with_endpoints}: {wrong:#?}"
        );
        what_works_works_one_way_only(&deployed);
        nobody_talks_to_the_outside_but_on_https(&deployed);
        every_rule_that_allows_is_needed(&mut deployed);
    }
}

/// Nobody who is called calls back: a new connection the other way round is stopped.
fn what_works_works_one_way_only(deployed: &Deployed) {
    let ports = [22, 80, 443, 5432, 8080, 50_000];
    for row in deployed.rows().into_iter().filter(|row| row.stopped_by.is_empty()) {
        for (from, to) in row.from.iter().flat_map(|from| row.to.iter().map(move |to| (from, to))) {
            for port in ports {
                // The load balancer may speak to nobody outside, and nobody outside to what stands behind it.
                let back = deployed.network.stops(to, from, tcp(port, 50_000));
                assert!(!back.is_empty(), "{}, back to {port}", row.what);
            }
        }
    }
}

/// Every port up to what services listen to, and some above.
fn probed() -> impl Iterator<Item = u16> {
    (1..=10_000).chain([11_211, 27_017, 32_768, 50_000, 65_535])
}

fn nobody_talks_to_the_outside_but_on_https(deployed: &Deployed) {
    let outside = Party::outside(SOMEBODY);
    let https: &[u16] = if deployed.with_nat { &[443] } else { &[] };
    for (parties, allowed) in [
        (&deployed.balancers, &[][..]),
        (&deployed.tasks, https),
        (&deployed.functions, https),
        (&deployed.endpoints, &[]),
        (&deployed.databases, &[]),
    ] {
        for party in parties {
            let open = probed().filter(|port| deployed.network.connects(party, &outside, tcp(*port, 50_000)));
            assert_eq!(open.collect::<Vec<_>>(), allowed, "{}", party.address);
        }
    }
    let seen = |parties: &[Party]| {
        let open = |port: &u16| deployed.network.connects(&outside, &parties[0], tcp(*port, 50_000));
        probed().filter(open).collect::<Vec<_>>()
    };
    assert_eq!(seen(&deployed.balancers), [80, 443]);
    for hidden in [
        &deployed.tasks,
        &deployed.functions,
        &deployed.endpoints,
        &deployed.databases,
    ] {
        assert_eq!(seen(hidden), Vec::<u16>::new());
    }
}

/// Without any one of the rules that allow, something that has to work does not. So each repair is one, and none is wider than one rule.
fn every_rule_that_allows_is_needed(deployed: &mut Deployed) {
    assert!(deployed.works());
    let whole = deployed.network.clone();
    let mut unneeded = BTreeSet::new();
    for (acl, name) in deployed.acls.clone() {
        for (index, entry) in whole.acls[&acl].iter().enumerate().filter(|(_, entry)| entry.allow) {
            deployed.network.acls.get_mut(&acl).unwrap().remove(index);
            if deployed.works() {
                unneeded.insert((name, entry.number));
            }
            deployed.network = whole.clone();
        }
    }
    // The source lets the load balancer send 80 and 443 into the VPC, where nothing listens to them today. What NAT hands back to the tasks
    // goes to high ports, 8080 among them.
    let mut expected = BTreeSet::from([("public", 120), ("public", 121)]);
    expected.extend(deployed.with_nat.then_some(("public", 122)));
    // Without NAT, answers of S3 and DynamoDB alone. Their gateway endpoints have routes by prefix list, which are not read here.
    expected.extend((!deployed.with_nat).then_some(("private", 214)));
    assert_eq!(unneeded, expected);
    let nothing: Peer = Peer::Network("127.0.0.1/32".parse().unwrap());
    let mut groups = Vec::new();
    for (id, group) in &whole.groups {
        for (index, rule) in group.ingress.iter().enumerate() {
            deployed.network.groups.get_mut(id).unwrap().ingress.remove(index);
            groups.extend(deployed.works().then(|| (id.clone(), rule.clone())));
            deployed.network = whole.clone();
        }
        for (index, rule) in group.egress.iter().enumerate().filter(|(_, rule)| rule.peer != nothing) {
            deployed.network.groups.get_mut(id).unwrap().egress.remove(index);
            groups.extend(deployed.works().then(|| (id.clone(), rule.clone())));
            deployed.network = whole.clone();
        }
    }
    // The VPC's default group, which nothing is in, and the source's 80 and 443 from the load balancer into the VPC.
    let balancer = deployed.balancers[0].groups.first().unwrap();
    let in_use = |(id, _): &&(String, Allow)| {
        deployed
            .balancers
            .iter()
            .chain(&deployed.tasks)
            .chain(&deployed.functions)
            .chain(&deployed.endpoints)
            .chain(&deployed.databases)
            .any(|party| party.groups.contains(id))
    };
    let unneeded: Vec<_> = groups
        .iter()
        .filter(in_use)
        .map(|(id, rule)| (id, rule.traffic))
        .collect();
    assert_eq!(unneeded, [(balancer, Traffic::tcp(80)), (balancer, Traffic::tcp(443))]);
}

// ---------------------------------------------------------------- the source's tables as they are written

const VPC: &str = "10.0.0.0/16";
const ANY: &str = "0.0.0.0/0";
const PUBLIC: &str = "10.0.0.0/24";
const PRIVATE: &str = "10.0.1.0/24";
const DATABASE: &str = "10.0.2.0/24";

fn rule(number: u16, allow: bool, egress: bool, traffic: Traffic, network: &str) -> Entry {
    let network = network.parse().unwrap();
    Entry {
        number,
        egress,
        allow,
        traffic,
        network,
    }
}

fn inbound(number: u16, allow: bool, traffic: Traffic, network: &str) -> Entry {
    rule(number, allow, false, traffic, network)
}

fn outbound(number: u16, allow: bool, traffic: Traffic, network: &str) -> Entry {
    rule(number, allow, true, traffic, network)
}

fn allow(port: u16, peer: Peer) -> Allow {
    Allow {
        traffic: Traffic::tcp(port),
        peer,
    }
}

/// A VPC with one subnet a tier, and the tables of the journey without any repair.
fn literal() -> Network {
    let network = |text: &str| Peer::Network(text.parse().unwrap());
    let group = |name: &str| Peer::Group(name.to_owned());
    let local = (VPC.parse().unwrap(), Target::Local);
    let to = |target| (ANY.parse().unwrap(), target);
    let subnet = |cidr: &str, acl: &str, routes| Subnet {
        network: cidr.parse().unwrap(),
        acl: acl.to_owned(),
        routes,
    };
    let nat = Target::Nat("nat".to_owned());
    let named = |names: [(&str, Subnet); 3]| names.map(|(name, subnet)| (name.to_owned(), subnet)).into();
    Network {
        subnets: named([
            (
                "public",
                subnet(PUBLIC, "public", vec![local.clone(), to(Target::Internet)]),
            ),
            ("private", subnet(PRIVATE, "private", vec![local.clone(), to(nat)])),
            ("database", subnet(DATABASE, "database", vec![local])),
        ]),
        acls: BTreeMap::from([
            (
                "public".to_owned(),
                vec![
                    inbound(100, true, Traffic::tcp(80), ANY),
                    inbound(100, true, Traffic::tcp(443), ANY),
                    inbound(110, false, Traffic::All, ANY),
                    outbound(120, true, Traffic::tcp(80), VPC),
                    outbound(120, true, Traffic::tcp(443), VPC),
                    outbound(130, false, Traffic::All, ANY),
                ],
            ),
            (
                "private".to_owned(),
                vec![
                    inbound(200, true, Traffic::tcp(8080), PUBLIC),
                    inbound(210, true, Traffic::tcp(5432), DATABASE),
                    inbound(220, false, Traffic::All, ANY),
                    outbound(230, true, Traffic::tcp(443), ANY),
                ],
            ),
            (
                "database".to_owned(),
                vec![
                    inbound(300, true, Traffic::tcp(5432), PRIVATE),
                    inbound(310, false, Traffic::All, ANY),
                    outbound(320, false, Traffic::All, ANY),
                ],
            ),
        ]),
        groups: BTreeMap::from([
            (
                "alb".to_owned(),
                Group {
                    ingress: vec![allow(80, network(ANY)), allow(443, network(ANY))],
                    egress: vec![allow(80, network(VPC)), allow(443, network(VPC))],
                },
            ),
            (
                "backend".to_owned(),
                Group {
                    ingress: vec![allow(8080, group("alb")), allow(5432, group("rds"))],
                    egress: vec![allow(443, network(ANY))],
                },
            ),
            (
                "rds".to_owned(),
                Group {
                    ingress: vec![allow(5432, group("backend"))],
                    egress: Vec::new(),
                },
            ),
            (
                "lambda".to_owned(),
                Group {
                    ingress: Vec::new(),
                    egress: vec![allow(443, network(ANY))],
                },
            ),
        ]),
        nats: BTreeMap::from([("nat".to_owned(), "public".to_owned())]),
    }
}

fn balancer() -> Party {
    Party::inside(Ipv4Addr::new(10, 0, 0, 20), "alb", true)
}

fn backend() -> Party {
    Party::inside(Ipv4Addr::new(10, 0, 1, 20), "backend", false)
}

fn lambda() -> Party {
    Party::inside(Ipv4Addr::new(10, 0, 1, 21), "lambda", false)
}

fn database() -> Party {
    Party::inside(Ipv4Addr::new(10, 0, 2, 20), "rds", false)
}

fn stops(network: &Network, from: &Party, to: &Party, port: u16) -> Vec<(Leg, Stop)> {
    network.stops(from, to, tcp(port, 50_000))
}

fn acl_in(acl: &str, number: u16) -> Stop {
    Stop::AclIn(acl.to_owned(), number)
}

fn acl_out(acl: &str, number: u16) -> Stop {
    Stop::AclOut(acl.to_owned(), number)
}

#[test]
fn taken_literally_customers_get_no_answer() {
    for port in [80, 443] {
        let found = stops(&literal(), &Party::outside(SOMEBODY), &balancer(), port);
        assert_eq!(found, [(Leg::Reply, acl_out("public", 130))]);
    }
}

#[test]
fn taken_literally_the_load_balancer_does_not_reach_8080() {
    let found = stops(&literal(), &balancer(), &backend(), 8080);
    let expected = [
        (Leg::Request, Stop::GroupOut),
        (Leg::Request, acl_out("public", 130)),
        (Leg::Reply, acl_out("private", REST)),
        (Leg::Reply, acl_in("public", 110)),
    ];
    assert_eq!(found, expected);
    // 80 and 443 it may send, and nobody takes them.
    for port in [80, 443] {
        let found = stops(&literal(), &balancer(), &backend(), port);
        assert!(found.contains(&(Leg::Request, Stop::GroupIn)), "{found:?}");
    }
}

#[test]
fn taken_literally_the_database_is_not_asked_and_does_not_answer() {
    let found = stops(&literal(), &backend(), &database(), 5432);
    let expected = [
        (Leg::Request, Stop::GroupOut),
        (Leg::Request, acl_out("private", REST)),
        (Leg::Reply, acl_out("database", 320)),
        (Leg::Reply, acl_in("private", 220)),
    ];
    assert_eq!(found, expected);
    // Rule 210 and the group's row about 5432 would be for the database to begin, which rule 320 forbids it.
    let found = stops(&literal(), &database(), &backend(), 5432);
    assert!(
        !found.iter().any(|(_, stop)| *stop == acl_in("private", 220)),
        "{found:?}"
    );
    assert_eq!(
        found[..2],
        [(Leg::Request, Stop::GroupOut), (Leg::Request, acl_out("database", 320))]
    );
}

#[test]
fn taken_literally_aws_does_not_answer() {
    let expected = [
        (Leg::Request, acl_out("public", 130)),
        (Leg::Reply, acl_in("public", 110)),
        (Leg::Reply, acl_out("public", 130)),
        (Leg::Reply, acl_in("private", 220)),
    ];
    for caller in [backend(), lambda()] {
        assert_eq!(stops(&literal(), &caller, &Party::outside(SOMEBODY), 443), expected);
    }
}

/// What the source forbids it does forbid, and the groups alone suffice: the rows that say "deny" need no rule.
#[test]
fn taken_literally_what_is_forbidden_is_forbidden() {
    let mut open = literal();
    for acl in open.acls.values_mut() {
        *acl = vec![
            inbound(1, true, Traffic::All, ANY),
            outbound(1, true, Traffic::All, ANY),
        ];
    }
    let outside = Party::outside(SOMEBODY);
    let forbidden = [
        (&outside, balancer(), 22),
        (&outside, balancer(), 8080),
        (
            &outside,
            Party {
                public: true,
                ..backend()
            },
            8080,
        ),
        (
            &outside,
            Party {
                public: true,
                ..database()
            },
            5432,
        ),
        (&balancer(), database(), 5432),
        (&backend(), outside.clone(), 25),
        (&backend(), outside.clone(), 22),
        (&database(), outside.clone(), 443),
        (&database(), backend(), 8080),
    ];
    for (from, to, port) in forbidden {
        for network in [&literal(), &open] {
            let found = stops(network, from, &to, port);
            let by_group = found.iter().any(|(_, stop)| layer(stop) == Groups);
            assert!(by_group, "{} to {}:{port}: {found:?}", from.address, to.address);
        }
    }
}

/// Each half of the tables needs its repairs: with the groups repaired the ACLs still stop everything, and the other way round the groups.
#[test]
fn neither_half_is_repaired_by_the_other() {
    let mut groups = literal();
    let rules = [("alb", 8080, "backend"), ("backend", 5432, "rds")];
    for (group, port, peer) in rules {
        let egress = &mut groups.groups.get_mut(group).unwrap().egress;
        egress.push(allow(port, Peer::Group(peer.to_owned())));
    }
    let mut acls = literal();
    for acl in acls.acls.values_mut() {
        *acl = vec![
            inbound(1, true, Traffic::All, ANY),
            outbound(1, true, Traffic::All, ANY),
        ];
    }
    for (from, to, port) in [(balancer(), backend(), 8080), (backend(), database(), 5432)] {
        let by_acl = stops(&groups, &from, &to, port);
        assert!(
            !by_acl.is_empty() && by_acl.iter().all(|(_, stop)| layer(stop) == Acl),
            "{by_acl:?}"
        );
        assert_eq!(stops(&acls, &from, &to, port), [(Leg::Request, Stop::GroupOut)]);
    }
}
