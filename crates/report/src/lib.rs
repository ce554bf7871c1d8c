//! From records to tables, figures and a self-contained page.
