//! Mails and pages, compiled into the binary. `.html` templates escape what they are given; `.txt` ones do not.

pub mod mail;
pub mod pages;
