//! A VPC on paper: whether a packet and its answer get through, and what stops them.
//!
//! Read from EC2's own answers, or written down as data. A connection leaves by its security groups, its network ACL and its route, crosses a NAT
//! gateway's subnet where the route says so, and arrives by the other side's ACL and security groups. Groups remember the connection, so its answer
//! passes them; network ACLs remember nothing, so the answer needs rules of its own, to the port that the client chose.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use anyhow::{Context, Result, bail};
use ipnet::Ipv4Net;
use serde_json::Value;

/// What every network ACL ends with.
pub const REST: u16 = 32767;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Number 6.
    Tcp,
    /// Number 17.
    Udp,
}

/// A rule's protocol and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Protocol -1.
    All,
    /// One protocol's ports, both ends among them.
    Ports(Protocol, u16, u16),
}

impl Traffic {
    /// One port of TCP.
    pub const fn tcp(port: u16) -> Self {
        Self::Ports(Protocol::Tcp, port, port)
    }

    fn covers(self, protocol: Protocol, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Ports(known, from, to) => known == protocol && (from..=to).contains(&port),
        }
    }
}

/// Who is at a security-group rule's other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Any address of the network.
    Network(Ipv4Net),
    /// Whoever is in the group.
    Group(String),
}

/// What a security group allows. It can deny nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// The protocol and ports.
    pub traffic: Traffic,
    /// From where, or to where.
    pub peer: Peer,
}

/// A security group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// What may be begun from outside.
    pub ingress: Vec<Allow>,
    /// What may be begun from inside.
    pub egress: Vec<Allow>,
}

/// A rule of a network ACL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The rules are tried in the order of their numbers, and the first that fits decides.
    pub number: u16,
    /// Out of the subnet, or into it.
    pub egress: bool,
    /// Whether it allows.
    pub allow: bool,
    /// The protocol and ports: the packet's destination port.
    pub traffic: Traffic,
    /// Where the packet comes from, or goes to.
    pub network: Ipv4Net,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Within the VPC.
    Local,
    /// The Internet gateway, for what has a public address.
    Internet,
    /// A NAT gateway.
    Nat(String),
}

/// A subnet with what is associated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Its addresses.
    pub network: Ipv4Net,
    /// Its network ACL.
    pub acl: String,
    /// Its routes. The longest prefix wins.
    pub routes: Vec<(Ipv4Net, Target)>,
}

/// A VPC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// By id.
    pub subnets: BTreeMap<String, Subnet>,
    /// By id.
    pub acls: BTreeMap<String, Vec<Entry>>,
    /// By id.
    pub groups: BTreeMap<String, Group>,
    /// The subnet of each NAT gateway, by its id.
    pub nats: BTreeMap<String, String>,
}

/// Who speaks or is spoken to. Outside the VPC an address alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Its address; in the VPC the private one.
    pub address: Ipv4Addr,
    /// Its security groups.
    pub groups: BTreeSet<String>,
    /// Whether it has a public address as well.
    pub public: bool,
}

impl Party {
    /// Somebody on the Internet.
    pub fn outside(address: Ipv4Addr) -> Self {
        Self {
            address,
            groups: BTreeSet::new(),
            public: true,
        }
    }

    /// Something in the VPC with one security group.
    pub fn inside(address: Ipv4Addr, group: &str, public: bool) -> Self {
        Self {
            address,
            groups: BTreeSet::from([group.to_owned()]),
            public,
        }
    }
}

/// A connection that somebody begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port that it is to.
    pub port: u16,
    /// The port that the client chose, to which the answer goes.
    pub client_port: u16,
}

/// The way there, or the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leg {
    /// The first packet.
    Request,
    /// Its answer.
    Reply,
}

/// What stops a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// No security group of the sender allows it out.
    GroupOut,
    /// The subnet has no route there, or none that a private address can take.
    Route(String),
    /// The ACL of the subnet that it leaves, and the number of the rule.
    AclOut(String, u16),
    /// The ACL of the subnet that it enters, and the number of the rule.
    AclIn(String, u16),
    /// No security group of the receiver allows it in.
    GroupIn,
}

impl Network {
    /// Everything that stops the connection, in the order in which the packet and its answer would meet it. None: it works.
    pub fn stops(&self, from: &Party, to: &Party, connection: Connection) -> Vec<(Leg, Stop)> {
        let Connection {
            protocol,
            port,
            client_port,
        } = connection;
        let mut request = Vec::new();
        if self.subnet_of(from.address).is_some() && !self.allowed(from, to, protocol, port, true) {
            request.push(Stop::GroupOut);
        }
        self.carry(from, to, protocol, port, &mut request);
        if self.subnet_of(to.address).is_some() && !self.allowed(to, from, protocol, port, false) {
            request.push(Stop::GroupIn);
        }
        let mut reply = Vec::new();
        self.return_to(from, to, protocol, client_port, &mut reply);
        let there = request.into_iter().map(|stop| (Leg::Request, stop));
        there.chain(reply.into_iter().map(|stop| (Leg::Reply, stop))).collect()
    }

    /// Whether the connection works.
    pub fn connects(&self, from: &Party, to: &Party, connection: Connection) -> bool {
        self.stops(from, to, connection).is_empty()
    }

    /// The subnet that an address is in.
    pub fn subnet_of(&self, address: Ipv4Addr) -> Option<&str> {
        let found = self
            .subnets
            .iter()
            .find(|(_, subnet)| subnet.network.contains(&address));
        found.map(|(id, _)| id.as_str())
    }

    /// Whether one of a party's groups allows what it and another say to each other.
    fn allowed(&self, party: &Party, other: &Party, protocol: Protocol, port: u16, egress: bool) -> bool {
        let groups = party.groups.iter().filter_map(|id| self.groups.get(id));
        let mut rules = groups.flat_map(|group| if egress { &group.egress } else { &group.ingress });
        rules.any(|rule| {
            let reaches = match &rule.peer {
                Peer::Network(network) => network.contains(&other.address),
                Peer::Group(id) => other.groups.contains(id),
            };
            reaches && rule.traffic.covers(protocol, port)
        })
    }

    /// The way of a first packet, between the two sides' security groups.
    fn carry(&self, from: &Party, to: &Party, protocol: Protocol, port: u16, stops: &mut Vec<Stop>) {
        let (source, target) = (self.subnet_of(from.address), self.subnet_of(to.address));
        match (source, target) {
            (None, None) => {}
            (Some(source), Some(target)) => self.across((source, from), (target, to), protocol, port, stops),
            (Some(source), None) => {
                self.leave(source, to.address, protocol, port, stops);
                match self.way_out(source, from, to.address) {
                    Way::Direct => {}
                    Way::None => stops.push(Stop::Route(source.to_owned())),
                    Way::Nat(subnet) => {
                        if subnet != source {
                            self.enter(subnet, from.address, protocol, port, stops);
                        }
                        self.leave(subnet, to.address, protocol, port, stops);
                        if self.route(subnet, to.address) != Some(&Target::Internet) {
                            stops.push(Stop::Route(subnet.to_owned()));
                        }
                    }
                }
            }
            (None, Some(target)) => {
                if !self.faces_the_internet(target, to, from.address) {
                    stops.push(Stop::Route(target.to_owned()));
                }
                self.enter(target, from.address, protocol, port, stops);
            }
        }
    }

    /// The way of the answer. It goes back as the packet came.
    fn return_to(&self, from: &Party, to: &Party, protocol: Protocol, port: u16, stops: &mut Vec<Stop>) {
        let (source, target) = (self.subnet_of(from.address), self.subnet_of(to.address));
        match (source, target) {
            (None, None) => {}
            (Some(source), Some(target)) => self.across((target, to), (source, from), protocol, port, stops),
            (Some(source), None) => {
                if let Way::Nat(subnet) = self.way_out(source, from, to.address) {
                    self.enter(subnet, to.address, protocol, port, stops);
                    if subnet != source {
                        self.leave(subnet, from.address, protocol, port, stops);
                    } else {
                        return;
                    }
                }
                self.enter(source, to.address, protocol, port, stops);
            }
            (None, Some(target)) => {
                if !self.faces_the_internet(target, to, from.address) {
                    stops.push(Stop::Route(target.to_owned()));
                }
                self.leave(target, from.address, protocol, port, stops);
            }
        }
    }

    /// Between two places in the VPC. Within a subnet no ACL looks.
    fn across(&self, from: (&str, &Party), to: (&str, &Party), protocol: Protocol, port: u16, stops: &mut Vec<Stop>) {
        if from.0 == to.0 {
            return;
        }
        if self.route(from.0, to.1.address) != Some(&Target::Local) {
            stops.push(Stop::Route(from.0.to_owned()));
        }
        self.leave(from.0, to.1.address, protocol, port, stops);
        self.enter(to.0, from.1.address, protocol, port, stops);
    }

    fn leave(&self, subnet: &str, to: Ipv4Addr, protocol: Protocol, port: u16, stops: &mut Vec<Stop>) {
        if let Some((acl, rule)) = self.denied(subnet, true, to, protocol, port) {
            stops.push(Stop::AclOut(acl, rule));
        }
    }

    fn enter(&self, subnet: &str, from: Ipv4Addr, protocol: Protocol, port: u16, stops: &mut Vec<Stop>) {
        if let Some((acl, rule)) = self.denied(subnet, false, from, protocol, port) {
            stops.push(Stop::AclIn(acl, rule));
        }
    }

    /// The ACL and its rule that deny a packet at a subnet's border.
    fn denied(
        &self,
        subnet: &str,
        egress: bool,
        other: Ipv4Addr,
        protocol: Protocol,
        port: u16,
    ) -> Option<(String, u16)> {
        let acl = &self.subnets.get(subnet)?.acl;
        let entries = self.acls.get(acl).map(Vec::as_slice).unwrap_or_default();
        let fits = |entry: &&Entry| {
            entry.egress == egress && entry.network.contains(&other) && entry.traffic.covers(protocol, port)
        };
        let first = entries.iter().filter(fits).min_by_key(|entry| entry.number);
        match first {
            Some(entry) if entry.allow => None,
            found => Some((acl.clone(), found.map_or(REST, |entry| entry.number))),
        }
    }

    fn route(&self, subnet: &str, to: Ipv4Addr) -> Option<&Target> {
        let routes = self.subnets.get(subnet)?.routes.iter();
        let fitting = routes.filter(|(network, _)| network.contains(&to));
        fitting
            .max_by_key(|(network, _)| network.prefix_len())
            .map(|(_, target)| target)
    }

    fn way_out(&self, subnet: &str, party: &Party, to: Ipv4Addr) -> Way<'_> {
        match self.route(subnet, to) {
            Some(Target::Internet) if party.public => Way::Direct,
            Some(Target::Nat(nat)) => self.nats.get(nat).map_or(Way::None, |subnet| Way::Nat(subnet)),
            _ => Way::None,
        }
    }

    fn faces_the_internet(&self, subnet: &str, party: &Party, from: Ipv4Addr) -> bool {
        party.public && self.route(subnet, from) == Some(&Target::Internet)
    }
}

enum Way<'a> {
    Direct,
    /// The NAT gateway's subnet.
    Nat(&'a str),
    None,
}

/// EC2's answers about one VPC.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    /// `DescribeSubnets`.
    pub subnets: &'a Value,
    /// `DescribeRouteTables`.
    pub route_tables: &'a Value,
    /// `DescribeNetworkAcls`.
    pub acls: &'a Value,
    /// `DescribeSecurityGroups`.
    pub groups: &'a Value,
    /// `DescribeNatGateways`.
    pub nats: &'a Value,
}

impl Network {
    /// The network that EC2 describes.
    ///
    /// # Errors
    /// When something in the answers is not understood: nothing is left out silently, but IPv6, which has no address here.
    pub fn read(described: Described<'_>) -> Result<Self> {
        let mut network = Self::default();
        for acl in list(described.acls, "NetworkAcls")? {
            let entries = list(acl, "Entries")?.iter().map(entry).collect::<Result<Vec<_>>>()?;
            let entries = entries.into_iter().flatten().collect();
            network.acls.insert(text(acl, "NetworkAclId")?.to_owned(), entries);
        }
        for group in list(described.groups, "SecurityGroups")? {
            let rules = |side| {
                let rules = list(group, side)?.iter().map(allows).collect::<Result<Vec<_>>>()?;
                anyhow::Ok(rules.into_iter().flatten().collect())
            };
            let read = Group {
                ingress: rules("IpPermissions")?,
                egress: rules("IpPermissionsEgress")?,
            };
            network.groups.insert(text(group, "GroupId")?.to_owned(), read);
        }
        for nat in list(described.nats, "NatGateways")? {
            let (id, subnet) = (text(nat, "NatGatewayId")?, text(nat, "SubnetId")?);
            network.nats.insert(id.to_owned(), subnet.to_owned());
        }
        for subnet in list(described.subnets, "Subnets")? {
            let (id, vpc) = (text(subnet, "SubnetId")?, text(subnet, "VpcId")?);
            let read = Subnet {
                network: text(subnet, "CidrBlock")?.parse()?,
                acl: acl_of(described.acls, id)?,
                routes: routes_of(described.route_tables, id, vpc)?,
            };
            network.subnets.insert(id.to_owned(), read);
        }
        Ok(network)
    }
}

fn list<'a>(value: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    let found = value.get(name).and_then(Value::as_array);
    found.with_context(|| format!("no list {name} in {value}"))
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    let found = value.get(name).and_then(Value::as_str);
    found.with_context(|| format!("no {name} in {value}"))
}

fn acl_of(acls: &Value, subnet: &str) -> Result<String> {
    for acl in list(acls, "NetworkAcls")? {
        let places = list(acl, "Associations")?;
        if places.iter().any(|place| text(place, "SubnetId").ok() == Some(subnet)) {
            return Ok(text(acl, "NetworkAclId")?.to_owned());
        }
    }
    bail!("{subnet} has no network ACL")
}

/// The routes of the subnet's own table, else of the VPC's main one.
fn routes_of(tables: &Value, subnet: &str, vpc: &str) -> Result<Vec<(Ipv4Net, Target)>> {
    let tables = list(tables, "RouteTables")?;
    let of = |wanted: &dyn Fn(&Value) -> bool| {
        let belongs = |table: &&Value| {
            text(table, "VpcId").ok() == Some(vpc)
                && list(table, "Associations").is_ok_and(|places| places.iter().any(wanted))
        };
        tables.iter().find(belongs)
    };
    let own = of(&|place| text(place, "SubnetId").ok() == Some(subnet));
    let main = || of(&|place| place.get("Main") == Some(&Value::Bool(true)));
    let table = own.or_else(main).with_context(|| format!("{subnet} has no routes"))?;
    let routes = list(table, "Routes")?
        .iter()
        .filter_map(|route| route_of(route).transpose());
    routes.collect()
}

/// Nothing for what is not to addresses: a prefix list of a gateway endpoint, or IPv6.
fn route_of(route: &Value) -> Result<Option<(Ipv4Net, Target)>> {
    let Some(network) = route.get("DestinationCidrBlock").and_then(Value::as_str) else {
        return Ok(None);
    };
    let target = match (text(route, "NatGatewayId"), text(route, "GatewayId")) {
        (Ok(nat), _) => Target::Nat(nat.to_owned()),
        (_, Ok("local")) => Target::Local,
        (_, Ok(gateway)) if gateway.starts_with("igw-") => Target::Internet,
        (_, Ok(gateway)) if gateway.starts_with("vpce-") => return Ok(None),
        _ => bail!("a route of another kind: {route}"),
    };
    Ok(Some((network.parse()?, target)))
}

fn protocol_of(name: &str) -> Result<Option<Protocol>> {
    match name {
        "-1" | "all" => Ok(None),
        "6" | "tcp" => Ok(Some(Protocol::Tcp)),
        "17" | "udp" => Ok(Some(Protocol::Udp)),
        _ => bail!("protocol {name}"),
    }
}

fn port_of(value: &Value, name: &str) -> Result<u16> {
    let number = value.get(name).and_then(Value::as_i64);
    Ok(u16::try_from(number.with_context(|| format!("no {name} in {value}"))?)?)
}

/// Protocol and ports; without ports it is all of them.
fn traffic(protocol: &str, ports: Option<&Value>, names: (&str, &str)) -> Result<Traffic> {
    Ok(match (protocol_of(protocol)?, ports) {
        (None, _) => Traffic::All,
        (Some(protocol), None) => Traffic::Ports(protocol, 0, u16::MAX),
        (Some(protocol), Some(ports)) => Traffic::Ports(protocol, port_of(ports, names.0)?, port_of(ports, names.1)?),
    })
}

fn entry(value: &Value) -> Result<Option<Entry>> {
    let Ok(network) = text(value, "CidrBlock") else {
        return Ok(None);
    };
    let egress = value.get("Egress").and_then(Value::as_bool);
    Ok(Some(Entry {
        number: port_of(value, "RuleNumber")?,
        egress: egress.with_context(|| format!("no Egress in {value}"))?,
        allow: match text(value, "RuleAction")? {
            "allow" => true,
            "deny" => false,
            other => bail!("the action {other}"),
        },
        traffic: traffic(text(value, "Protocol")?, value.get("PortRange"), ("From", "To"))?,
        network: network.parse()?,
    }))
}

fn allows(value: &Value) -> Result<Vec<Allow>> {
    let ports = value.get("FromPort").map(|_| value);
    let traffic = traffic(text(value, "IpProtocol")?, ports, ("FromPort", "ToPort"))?;
    if value
        .get("PrefixListIds")
        .and_then(Value::as_array)
        .is_some_and(|lists| !lists.is_empty())
    {
        bail!("a rule with a prefix list: {value}");
    }
    let networks = list(value, "IpRanges")?.iter();
    let networks = networks.map(|range| anyhow::Ok(Peer::Network(text(range, "CidrIp")?.parse()?)));
    let groups = list(value, "UserIdGroupPairs")?.iter();
    let groups = groups.map(|pair| anyhow::Ok(Peer::Group(text(pair, "GroupId")?.to_owned())));
    networks
        .chain(groups)
        .map(|peer| Ok(Allow { traffic, peer: peer? }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: u16 = 50_000;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    fn at(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    fn entry(number: u16, egress: bool, allow: bool, traffic: Traffic, network: &str) -> Entry {
        Entry {
            number,
            egress,
            allow,
            traffic,
            network: net(network),
        }
    }

    fn open() -> Vec<Entry> {
        vec![
            entry(100, false, true, Traffic::All, "0.0.0.0/0"),
            entry(100, true, true, Traffic::All, "0.0.0.0/0"),
        ]
    }

    fn everything(peer: Peer) -> Group {
        let rule = Allow {
            traffic: Traffic::All,
            peer,
        };
        Group {
            ingress: vec![rule.clone()],
            egress: vec![rule],
        }
    }

    /// Two subnets that let everything through: `web` faces the Internet, `app` goes out by NAT.
    fn network() -> Network {
        let local = (net("10.0.0.0/16"), Target::Local);
        let subnet = |cidr: &str, acl: &str, target| Subnet {
            network: net(cidr),
            acl: acl.to_owned(),
            routes: vec![local.clone(), (net("0.0.0.0/0"), target)],
        };
        Network {
            subnets: BTreeMap::from([
                ("web".to_owned(), subnet("10.0.0.0/24", "web-acl", Target::Internet)),
                (
                    "app".to_owned(),
                    subnet("10.0.1.0/24", "app-acl", Target::Nat("nat".to_owned())),
                ),
            ]),
            acls: BTreeMap::from([("web-acl".to_owned(), open()), ("app-acl".to_owned(), open())]),
            groups: BTreeMap::from([("any".to_owned(), everything(Peer::Network(net("0.0.0.0/0"))))]),
            nats: BTreeMap::from([("nat".to_owned(), "web".to_owned())]),
        }
    }

    fn web() -> Party {
        Party::inside(at("10.0.0.10"), "any", true)
    }

    fn app() -> Party {
        Party::inside(at("10.0.1.10"), "any", false)
    }

    fn outside() -> Party {
        Party::outside(at("198.51.100.7"))
    }

    fn to(port: u16) -> Connection {
        Connection {
            protocol: Protocol::Tcp,
            port,
            client_port: CLIENT,
        }
    }

    fn acl_out(number: u16) -> Stop {
        Stop::AclOut("web-acl".to_owned(), number)
    }

    fn acl_in(number: u16) -> Stop {
        Stop::AclIn("web-acl".to_owned(), number)
    }

    #[test]
    fn the_lowest_number_that_fits_decides_whatever_the_order() {
        let mut network = network();
        let deny = entry(90, false, false, Traffic::tcp(443), "198.51.100.0/24");
        network.acls.get_mut("web-acl").unwrap().push(deny);
        assert_eq!(network.stops(&outside(), &web(), to(443)), [(Leg::Request, acl_in(90))]);
        assert!(network.connects(&outside(), &web(), to(80)));
        assert!(network.connects(&Party::outside(at("203.0.113.9")), &web(), to(443)));

        network
            .acls
            .get_mut("web-acl")
            .unwrap()
            .push(entry(80, false, true, Traffic::All, "198.51.100.7/32"));
        assert!(network.connects(&outside(), &web(), to(443)));
    }

    #[test]
    fn what_no_rule_names_is_denied() {
        let mut network = network();
        network.acls.insert("web-acl".to_owned(), Vec::new());
        let stops = [(Leg::Request, acl_in(REST)), (Leg::Reply, acl_out(REST))];
        assert_eq!(network.stops(&outside(), &web(), to(443)), stops);
        network.acls.remove("web-acl");
        assert_eq!(network.stops(&outside(), &web(), to(443)), stops);
    }

    #[test]
    fn both_ends_of_a_port_range_are_in_it_and_another_protocol_is_not() {
        let mut network = network();
        let range = entry(10, false, false, Traffic::Ports(Protocol::Tcp, 1000, 2000), "0.0.0.0/0");
        network.acls.get_mut("web-acl").unwrap().push(range);
        for (port, passes) in [(999, true), (1000, false), (1500, false), (2000, false), (2001, true)] {
            assert_eq!(network.connects(&outside(), &web(), to(port)), passes, "{port}");
        }
        let udp = Connection {
            protocol: Protocol::Udp,
            ..to(1500)
        };
        assert!(network.connects(&outside(), &web(), udp));
    }

    #[test]
    fn an_acl_forgets_and_the_reply_needs_the_client_s_port() {
        let mut network = network();
        let narrow = vec![
            entry(100, false, true, Traffic::tcp(443), "0.0.0.0/0"),
            entry(
                100,
                true,
                true,
                Traffic::Ports(Protocol::Tcp, 32768, 65535),
                "0.0.0.0/0",
            ),
        ];
        network.acls.insert("web-acl".to_owned(), narrow);
        assert!(network.connects(&outside(), &web(), to(443)));
        let low = Connection {
            client_port: 1024,
            ..to(443)
        };
        assert_eq!(network.stops(&outside(), &web(), low), [(Leg::Reply, acl_out(REST))]);
    }

    #[test]
    fn a_security_group_remembers() {
        let mut network = network();
        let group = network.groups.get_mut("any").unwrap();
        group.egress.clear();
        assert!(network.connects(&outside(), &web(), to(443)), "the reply needs no rule");
        assert_eq!(
            network.stops(&web(), &outside(), to(443)),
            [(Leg::Request, Stop::GroupOut)]
        );
        network.groups.insert("any".to_owned(), Group::default());
        assert_eq!(
            network.stops(&outside(), &web(), to(443)),
            [(Leg::Request, Stop::GroupIn)]
        );
    }

    #[test]
    fn a_group_as_peer_is_whoever_is_in_it() {
        let mut network = network();
        let rule = Allow {
            traffic: Traffic::tcp(8080),
            peer: Peer::Group("any".to_owned()),
        };
        network.groups.insert(
            "app".to_owned(),
            Group {
                ingress: vec![rule],
                egress: Vec::new(),
            },
        );
        let app = Party::inside(at("10.0.1.10"), "app", false);
        assert!(network.connects(&web(), &app, to(8080)));
        assert_eq!(network.stops(&web(), &app, to(8081)), [(Leg::Request, Stop::GroupIn)]);
        let stranger = Party::inside(at("10.0.0.11"), "app", false);
        assert_eq!(
            network.stops(&stranger, &app, to(8080)),
            [(Leg::Request, Stop::GroupOut), (Leg::Request, Stop::GroupIn)]
        );
    }

    #[test]
    fn no_acl_looks_within_a_subnet() {
        let mut network = network();
        network.acls.insert("web-acl".to_owned(), Vec::new());
        let other = Party::inside(at("10.0.0.11"), "any", false);
        assert!(network.connects(&web(), &other, to(443)));
    }

    #[test]
    fn the_internet_reaches_what_has_a_route_and_a_public_address() {
        let network = network();
        assert!(network.connects(&outside(), &web(), to(443)));
        let private = Party { public: false, ..web() };
        let route = Stop::Route("web".to_owned());
        assert_eq!(
            network.stops(&outside(), &private, to(443)),
            [(Leg::Request, route.clone()), (Leg::Reply, route.clone())]
        );
        assert_eq!(network.stops(&private, &outside(), to(443)), [(Leg::Request, route)]);
        let public = Party { public: true, ..app() };
        assert!(
            !network.connects(&outside(), &public, to(443)),
            "a NAT gateway is for the way out"
        );
    }

    #[test]
    fn a_nat_gateway_s_subnet_is_crossed_twice() {
        let mut network = network();
        assert!(network.connects(&app(), &outside(), to(443)));
        let acl = network.acls.get_mut("web-acl").unwrap();
        acl.push(entry(10, false, false, Traffic::tcp(443), "10.0.1.0/24"));
        acl.push(entry(11, true, false, Traffic::tcp(443), "0.0.0.0/0"));
        acl.push(entry(12, false, false, Traffic::tcp(CLIENT), "0.0.0.0/0"));
        acl.push(entry(13, true, false, Traffic::tcp(CLIENT), "10.0.1.0/24"));
        let expected = [
            (Leg::Request, acl_in(10)),
            (Leg::Request, acl_out(11)),
            (Leg::Reply, acl_in(12)),
            (Leg::Reply, acl_out(13)),
        ];
        assert_eq!(network.stops(&app(), &outside(), to(443)), expected);
    }

    #[test]
    fn a_nat_gateway_without_a_way_out_is_no_way_out() {
        let mut network = network();
        network.subnets.get_mut("web").unwrap().routes.truncate(1);
        let route = (Leg::Request, Stop::Route("web".to_owned()));
        assert_eq!(network.stops(&app(), &outside(), to(443)), [route]);
        network.nats.clear();
        let route = (Leg::Request, Stop::Route("app".to_owned()));
        assert_eq!(network.stops(&app(), &outside(), to(443)), [route]);
    }

    #[test]
    fn the_longest_prefix_is_taken() {
        let mut network = network();
        let narrow = (net("198.51.100.0/24"), Target::Internet);
        network.subnets.get_mut("app").unwrap().routes.insert(0, narrow);
        let route = (Leg::Request, Stop::Route("app".to_owned()));
        assert_eq!(
            network.stops(&app(), &outside(), to(443)),
            [route],
            "it has no public address"
        );
    }

    #[test]
    fn ec2_s_answers_are_read() {
        use serde_json::json;
        let subnets = json!({ "Subnets": [{ "SubnetId": "web", "VpcId": "v", "CidrBlock": "10.0.0.0/24" }] });
        let route_tables = json!({ "RouteTables": [
            { "VpcId": "other", "Associations": [{ "Main": true }], "Routes": [] },
            { "VpcId": "v", "Associations": [{ "Main": true }], "Routes": [
                { "DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local" },
                { "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1" },
                { "DestinationPrefixListId": "pl-1", "GatewayId": "vpce-1" },
            ] },
        ] });
        let acls = json!({ "NetworkAcls": [{ "NetworkAclId": "acl", "Associations": [{ "SubnetId": "web" }], "Entries": [
            { "RuleNumber": 100, "Egress": false, "RuleAction": "allow", "Protocol": "6", "CidrBlock": "0.0.0.0/0",
              "PortRange": { "From": 80, "To": 443 } },
            { "RuleNumber": 32767, "Egress": true, "RuleAction": "deny", "Protocol": "-1", "CidrBlock": "0.0.0.0/0" },
        ] }] });
        let groups = json!({ "SecurityGroups": [{ "GroupId": "sg", "IpPermissions": [
            { "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{ "CidrIp": "0.0.0.0/0" }],
              "UserIdGroupPairs": [{ "GroupId": "sg" }] },
        ], "IpPermissionsEgress": [
            { "IpProtocol": "-1", "IpRanges": [{ "CidrIp": "10.0.0.0/16" }], "UserIdGroupPairs": [] },
        ] }] });
        let nats = json!({ "NatGateways": [{ "NatGatewayId": "nat", "SubnetId": "web" }] });
        let described = Described {
            subnets: &subnets,
            route_tables: &route_tables,
            acls: &acls,
            groups: &groups,
            nats: &nats,
        };
        let read = Network::read(described).unwrap();
        let routes = vec![
            (net("10.0.0.0/16"), Target::Local),
            (net("0.0.0.0/0"), Target::Internet),
        ];
        assert_eq!(
            read.subnets["web"],
            Subnet {
                network: net("10.0.0.0/24"),
                acl: "acl".to_owned(),
                routes
            }
        );
        assert_eq!(
            read.acls["acl"],
            [
                entry(100, false, true, Traffic::Ports(Protocol::Tcp, 80, 443), "0.0.0.0/0"),
                entry(REST, true, false, Traffic::All, "0.0.0.0/0"),
            ]
        );
        let web = |peer| Allow {
            traffic: Traffic::tcp(80),
            peer,
        };
        assert_eq!(
            read.groups["sg"].ingress,
            [web(Peer::Network(net("0.0.0.0/0"))), web(Peer::Group("sg".to_owned()))]
        );
        assert_eq!(read.nats["nat"], "web");

        let odd = json!({ "SecurityGroups": [{ "GroupId": "sg", "IpPermissionsEgress": [], "IpPermissions": [
            { "IpProtocol": "icmp", "IpRanges": [], "UserIdGroupPairs": [] },
        ] }] });
        assert!(
            Network::read(Described {
                groups: &odd,
                ..described
            })
            .is_err()
        );
    }
}
