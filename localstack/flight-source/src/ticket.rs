//! Tickets: a window with a checksum over dataset and window, so that tickets of other servers and forgeries are refused.

use pipeline::LedgerWindow;
use sha2::{Digest, Sha256};

const LEN: usize = 16;

fn seal(dataset: &str, window: [u8; 8]) -> [u8; 8] {
    let digest = Sha256::new().chain_update(dataset).chain_update([0]).chain_update(window).finalize();
    let mut seal = [0; 8];
    seal.copy_from_slice(&digest[..8]);
    seal
}

/// The ticket for a window of a dataset.
pub(crate) fn write(dataset: &str, window: LedgerWindow) -> [u8; LEN] {
    let mut ticket = [0; LEN];
    ticket[..4].copy_from_slice(&window.start().to_be_bytes());
    ticket[4..8].copy_from_slice(&window.end().to_be_bytes());
    let (range, rest) = ticket.split_at_mut(8);
    let mut window = [0; 8];
    window.copy_from_slice(range);
    rest.copy_from_slice(&seal(dataset, window));
    ticket
}

/// The window of a ticket; `None` if it was not written for this dataset.
pub(crate) fn read(dataset: &str, ticket: &[u8]) -> Option<LedgerWindow> {
    let ticket: &[u8; LEN] = ticket.try_into().ok()?;
    let start = u32::from_be_bytes(ticket[..4].try_into().ok()?);
    let end = u32::from_be_bytes(ticket[4..8].try_into().ok()?);
    let window = LedgerWindow::new(start, end).ok()?;
    (write(dataset, window) == *ticket).then_some(window)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_its_dataset_only() {
        let window = LedgerWindow::new(7, u32::MAX).unwrap();
        let mut ticket = write("a", window);
        assert_eq!(read("a", &ticket), Some(window));
        assert_eq!(read("b", &ticket), None);
        assert_eq!(read("a", &ticket[..15]), None);
        ticket[3] ^= 1;
        assert_eq!(read("a", &ticket), None);
    }
}
