//! Rewards: whether a completion answers its task, and why.
