//! What only the embedded store has to show.
