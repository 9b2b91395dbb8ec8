//! The shared vocabulary: ids, amounts, positions, events, table columns, contract ABIs.
