mod engines;
mod keys;
mod many;
mod narrowing;
mod sign_in;
mod tokens;
