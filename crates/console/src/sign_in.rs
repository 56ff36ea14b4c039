//! The sign-in page.

use askama::Template;

use crate::frame::Frame;
use crate::texts as t;

/// The sign-in page.
#[derive(Debug, Template)]
#[template(path = "sign-in.html")]
pub struct SignInPage {
    /// The frame.
    pub frame: Frame,
    /// Why the last sign-in was refused.
    pub refused: Option<String>,
    /// The page to return to.
    pub next: String,
    /// The identity providers: the name of each, and where the sign-in with it begins.
    pub providers: Vec<(String, String)>,
}
