mod keys;
mod sign_in;
mod tokens;
