mod engines;
mod keys;
mod many;
mod narrowing;
mod operators;
mod sign_in;
mod tokens;
