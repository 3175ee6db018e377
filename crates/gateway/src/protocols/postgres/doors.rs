//! Who may be logging in at once: so many in all, and so many of one address, so that nobody keeps all others out by
//! connecting and saying nothing.
//!
//! Addresses of IPv6 count by their network of 64 bits, which one host commonly has whole.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// The doors to one listener.
#[derive(Debug)]
pub(super) struct Doors {
    all: Semaphore,
    per_address_max: usize,
    /// How many each address has taken; none without any.
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A place among those who log in; it is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Door<'a> {
    doors: &'a Doors,
    network: IpAddr,
    _place: SemaphorePermit<'a>,
}

impl Doors {
    /// `max` places, of which one address gets `per_address_max`.
    pub(super) fn new(max: usize, per_address_max: usize) -> Self {
        Self { all: Semaphore::new(max), per_address_max, taken: Mutex::default() }
    }

    /// A place for a client that has just connected; `None` when all of them, or all of its address, are taken.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Door<'_>> {
        let place = self.all.try_acquire().ok()?;
        let network = network(address);
        let mut taken = self.taken();
        let count = taken.entry(network).or_default();
        if *count >= self.per_address_max {
            return None;
        }
        *count += 1;
        Some(Door { doors: self, network, _place: place })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner) // the map is valid after any panic
    }
}

impl Drop for Door<'_> {
    fn drop(&mut self) {
        let mut taken = self.doors.taken();
        if let Some(count) = taken.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

/// What counts as one address. One of IPv4 that comes by way of IPv6 is itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_leaves_places_to_others() {
        let doors = Doors::new(4, 2);
        let (silent, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let held: Vec<Door<'_>> = std::iter::from_fn(|| doors.enter(silent)).collect();
        assert_eq!(held.len(), 2);
        let entered = doors.enter(other).expect("another address has a place");
        assert!(doors.enter(address("::ffff:192.0.2.1")).is_none(), "the same address in other words");
        drop(held);
        assert!(doors.enter(silent).is_some(), "a place is given back");
        drop(entered);
        assert!(doors.taken().is_empty(), "nothing is kept of those who are gone");
    }

    #[test]
    fn there_are_so_many_in_all() {
        let doors = Doors::new(2, 2);
        let _held = [doors.enter(address("192.0.2.1")), doors.enter(address("192.0.2.2"))].map(Option::unwrap);
        assert!(doors.enter(address("192.0.2.3")).is_none());
    }

    #[test]
    fn a_host_has_a_whole_network_of_ipv6() {
        let doors = Doors::new(8, 1);
        let _held = doors.enter(address("2001:db8::1")).unwrap();
        assert!(doors.enter(address("2001:db8::2:3:4:5")).is_none());
        assert!(doors.enter(address("2001:db8:0:1::1")).is_some());
    }
}
