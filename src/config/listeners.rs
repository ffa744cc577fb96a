//! Where a broker listens, and what it tells clients of that.
//!
//! Written as Kafka's `listeners` and `advertised.listeners` are: `NAME://HOST:PORT`, several with
//! commas between them. Who is in the same network and who is not often need different addresses:
//! a client is told the address of the listener that it came in by. Invariant: no two listeners have
//! one name, and nothing is advertised for a listener that is not there.

use std::fmt;

use super::error::Problem;

/// The name of a listener that was given none.
const UNNAMED: &str = "PLAINTEXT";
/// Kafka takes these names for a promise, and nothing here could keep it.
const NOT_YET: [&str; 3] = ["SSL", "SASL_SSL", "SASL_PLAINTEXT"];

/// One Kafka listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    name: String,
    address: Address,
    advertised: Option<Address>,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address, an IPv6 one without brackets.
    pub host: String,
    /// The port; 0 where the system is to choose.
    pub port: u16,
}

impl Listener {
    /// In capital letters, as Kafka has it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What clients are told; `None` for where it listens.
    #[must_use]
    pub fn advertised(&self) -> Option<&Address> {
        self.advertised.as_ref()
    }
}

impl Address {
    /// Reads `HOST:PORT`, with an IPv6 host in brackets.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let address = Self { host: host.to_owned(), port: port.parse().ok()? };
        (!address.host.is_empty()).then_some(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Puts `--listen` and `--advertise` together; what is wrong with them goes to `problems`.
pub(super) fn read(
    listen: &str,
    advertise: Option<&str>,
    problems: &mut Vec<Problem>,
) -> Vec<Listener> {
    let given = entries("listen", listen, problems);
    let mut told = advertise.map_or_else(Vec::new, |text| entries("advertise", text, problems));
    let listeners = given.into_iter().map(|(name, address)| {
        let at = told.iter().position(|(of, _)| *of == name);
        let advertised = at.map(|at| told.swap_remove(at).1);
        Listener { name, address, advertised }
    });
    let listeners: Vec<_> = listeners.collect();
    for (name, _) in told {
        let names: Vec<_> = listeners.iter().map(Listener::name).collect();
        problems.push(Problem::Conflict(format!(
            "advertise has an address for the listener {name}, which is not in listen: there is {}",
            names.join(", ")
        )));
    }
    listeners
}

fn entries(place: &str, text: &str, problems: &mut Vec<Problem>) -> Vec<(String, Address)> {
    let mut found: Vec<(String, Address)> = Vec::new();
    for entry in text.split(',').map(str::trim) {
        match named(entry) {
            Err(wrong) => problems.push(Problem::Conflict(format!("{place} is {text:?}: {wrong}"))),
            Ok((name, _)) if found.iter().any(|(other, _)| *other == name) => {
                let wrong = format!("{place} is {text:?}: give each listener a name of its own");
                problems.push(Problem::Conflict(wrong));
            }
            Ok(entry) => found.push(entry),
        }
    }
    found
}

fn named(text: &str) -> Result<(String, Address), String> {
    let (name, address) = text.split_once("://").unwrap_or((UNNAMED, text));
    let name = name.to_ascii_uppercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("{name:?} is no name, use letters, digits, dots, dashes, underscores"));
    }
    if NOT_YET.contains(&name.as_str()) {
        return Err(format!("there is no TLS and no SASL yet, so no listener is called {name}"));
    }
    let address = Address::read(address)
        .ok_or("give HOST:PORT, or NAME://HOST:PORT for each of several, with commas between them");
    Ok((name, address?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(listen: &str, advertise: Option<&str>) -> Vec<String> {
        let mut problems = Vec::new();
        let listeners = read(listen, advertise, &mut problems);
        assert!(problems.is_empty(), "{listen} {advertise:?}: {problems:?}");
        let shown = |one: &Listener| {
            let told = one.advertised().map_or_else(|| "itself".to_owned(), Address::to_string);
            format!("{} {} {told}", one.name(), one.address())
        };
        listeners.iter().map(shown).collect()
    }

    fn wrong(listen: &str, advertise: Option<&str>) -> String {
        let mut problems = Vec::new();
        read(listen, advertise, &mut problems);
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn one_address_is_one_listener_and_names_tell_several_apart() {
        assert_eq!(good("[::1]:2", None), ["PLAINTEXT [::1]:2 itself"]);
        assert_eq!(good("0.0.0.0:1", Some("a.example:9")), ["PLAINTEXT 0.0.0.0:1 a.example:9"]);
        assert_eq!(
            good("inside://0.0.0.0:1, OUTSIDE://0.0.0.0:2", Some("outside://b.example:30001")),
            ["INSIDE 0.0.0.0:1 itself", "OUTSIDE 0.0.0.0:2 b.example:30001"]
        );
    }

    #[test]
    fn listeners_that_could_not_work_are_refused_with_what_to_change() {
        for (listen, advertise, said) in [
            ("", None, "give HOST:PORT"),
            ("nowhere", None, "listen is \"nowhere\": give HOST:PORT"),
            ("A://h:1,B://h:x", None, "NAME://HOST:PORT for each of several"),
            ("h:1,h:2", None, "give each listener a name of its own"),
            ("A://h:1,a://h:2", None, "give each listener a name of its own"),
            ("A B://h:1", None, "\"A B\" is no name"),
            ("://h:1", None, "\"\" is no name"),
            ("SSL://h:1", None, "there is no TLS"),
            ("A://h:1", Some("B://h:2"), "for the listener B, which is not in listen: there is A"),
            ("A://h:1", Some("h"), "advertise is \"h\": give HOST:PORT"),
        ] {
            let told = wrong(listen, advertise);
            assert!(told.contains(said), "{listen} {advertise:?}: {told}");
        }
    }
}
