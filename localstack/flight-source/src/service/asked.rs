//! What the path of a descriptor asks for.

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_descriptor::DescriptorType;
use pipeline::LedgerWindow;
use pipeline::contract::checkpoint::state_name;
use pipeline::contract::tables::Table;
use pipeline::contract::wire::ROOT;
use tonic::Status;

/// A request for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// A table in a window; in everything, if there is none.
    Ledgers(Table, Option<LedgerWindow>),
    /// A table of the state at a checkpoint; which checkpoints there are, if there is none.
    State(Table, Option<u32>),
}

/// What a descriptor asks for, of a source that has these tables.
///
/// # Errors
/// INVALID_ARGUMENT with what is wrong with the path.
pub(super) fn asked(descriptor: &FlightDescriptor, tables: &[Table]) -> Result<Asked, Status> {
    let refuse = |reason: String| Status::invalid_argument(reason);
    if descriptor.r#type() != DescriptorType::Path {
        return Err(refuse("the descriptor must be a path: contract, table, start, end".to_owned()));
    }
    let ledger = |name: &str, text: &str| {
        text.parse::<u32>()
            .map_err(|_| refuse(format!("the {name} {text:?} is not a number from 0 to {}", u32::MAX)))
    };
    let path: Vec<&str> = descriptor.path.iter().map(String::as_str).collect();
    let table = |name: &str| tables.iter().copied().find(|table| table.name() == name);
    let of_state = |name: &str| Table::ALL.into_iter().find(|table| state_name(*table) == name);
    let (table, of_state, rest) = match path.as_slice() {
        [ROOT, name, rest @ ..] => (table(name), of_state(name), rest),
        _ => (None, None, [].as_slice()),
    };
    match (table, of_state, rest) {
        (Some(table), _, []) => Ok(Asked::Ledgers(table, None)),
        (Some(table), _, [start, end]) => {
            let window = LedgerWindow::new(ledger("start ledger", start)?, ledger("end ledger", end)?);
            let window = window.map_err(|error| refuse(error.to_string()))?;
            Ok(Asked::Ledgers(table, Some(window)))
        }
        (_, Some(table), []) => Ok(Asked::State(table, None)),
        (_, Some(table), [checkpoint]) => Ok(Asked::State(table, Some(ledger("checkpoint", checkpoint)?))),
        _ => {
            let tables: Vec<_> = tables.iter().map(|table| table.name()).collect();
            Err(refuse(format!(
                "there is no dataset at the path {path:?}: ask for contract, table, start, end, or for contract, state, \
                 checkpoint; tables: {}",
                tables.join(", ")
            )))
        }
    }
}
