//! What is measured about a change of policy.
