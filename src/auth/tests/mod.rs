mod engines;
mod keys;
mod narrowing;
mod sign_in;
mod tokens;
