//! HTTP only: endpoint structs that mirror the contract.

pub mod payload;
