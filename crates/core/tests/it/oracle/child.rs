//! A child process that answers each line of JSON with one line of JSON.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use serde_json::{Value, json};

/// A running process. Dropping this ends it.
pub(crate) struct Oracle {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the oracle starts");
        let requests = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, requests, answers }
    }

    /// Returns the answers to all requests, in order: a document, or the reason why there is none.
    pub(crate) fn ask(&mut self, requests: &[Value]) -> Vec<Result<String, String>> {
        let (input, output) = (&mut self.requests, &mut self.answers);
        thread::scope(|scope| {
            // Writes on another thread while this one reads. Otherwise full pipes would block both processes.
            scope.spawn(move || {
                for request in requests {
                    writeln!(input, "{request}").expect("the oracle reads");
                }
                input.flush().expect("the oracle reads");
            });
            requests.iter().map(|request| read(output, request)).collect()
        })
    }
}

fn read(answers: &mut BufReader<ChildStdout>, request: &Value) -> Result<String, String> {
    let mut line = String::new();
    answers.read_line(&mut line).expect("the oracle's answer is UTF-8");
    let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?} to {request}"));
    if let Some(document) = answer["ok"].as_str() {
        return Ok(document.to_owned());
    }
    Err(format!("{}: {}", answer["phase"].as_str().unwrap_or("read"), answer["error"].as_str().unwrap_or_default()))
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns a question.
pub(crate) fn request(operation: &str, base: Option<&str>, input: &str, location: &str) -> Value {
    json!({ "op": operation, "base": base, "input": input, "location": location })
}
