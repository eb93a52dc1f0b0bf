//! A program that wraps and unwraps the table key, for a key management service.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{self, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// The longest answer that is taken.
pub(super) const MAX_ANSWER: usize = 4096;
/// How long a program may take to answer, network and all.
const PATIENCE: Duration = Duration::from_secs(30);

/// Called with `wrap` or `unwrap` as last argument; bytes in on standard input, bytes out on standard
/// output, exit 0. Its standard error is the server's.
pub(super) struct Command {
    program: String,
    arguments: Vec<String>,
    patience: Duration,
}

impl Command {
    /// The first word is the program, the others are arguments; `None` where there is no word.
    pub(super) fn new(words: &[String]) -> Option<Self> {
        let (program, arguments) = words.split_first()?;
        Some(Self { program: program.clone(), arguments: arguments.to_vec(), patience: PATIENCE })
    }

    /// What the program answers to `input`: at most [`MAX_ANSWER`] bytes; else why there is none, in
    /// words. Waits for the program, and ends it where it takes too long.
    pub(super) fn run(&self, verb: &str, input: &[u8]) -> Result<Vec<u8>, String> {
        let failed = |why: &str| format!("`{} … {verb}` {why}", self.program);
        let mut child = process::Command::new(&self.program)
            .args(&self.arguments)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Of its own, so that its children end with it.
            .process_group(0)
            .spawn()
            .map_err(|error| failed(&format!("cannot be started: {error}")))?;
        let pid = Pid::from_child(&child);
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        let (tell, told) = mpsc::channel();
        let input = input.to_vec();
        let talk = move || {
            // Nobody listens any more where it took too long.
            let _ = tell.send(converse(pid, stdin, stdout, &input));
        };
        let talking = thread::Builder::new().name("master-key".to_owned()).spawn(talk);
        let answer = match talking.map(|_| told.recv_timeout(self.patience)) {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Err(_)) => Err(format!("gave no answer within {:?}", self.patience)),
            Err(error) | Ok(Ok(Err(error))) => Err(format!("cannot be spoken to: {error}")),
        };
        if answer.is_err() {
            // An error means that it is gone already.
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let status = child.wait().map_err(|error| failed(&format!("cannot be waited for: {error}")))?;
        let answer = answer.map_err(|why| failed(&why))?;
        if answer.len() > MAX_ANSWER {
            return Err(failed(&format!("answered more than {MAX_ANSWER} bytes")));
        }
        if !status.success() {
            return Err(failed(&format!("ended with {status}: its standard error says why")));
        }
        Ok(answer)
    }
}

/// Says `input` and listens until the program has ended. It is not reaped here: its id stays its own
/// until the caller no longer wants to end it.
fn converse(pid: Pid, mut stdin: ChildStdin, stdout: ChildStdout, input: &[u8]) -> io::Result<Vec<u8>> {
    match stdin.write_all(input) {
        // One that does not listen is judged by its answer.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error),
        Ok(()) | Err(_) => drop(stdin),
    }
    let mut answer = Vec::new();
    stdout.take(MAX_ANSWER as u64 + 1).read_to_end(&mut answer)?;
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let words = ["sh", "-c", script, "kms"].map(str::to_owned);
        Command::new(&words).unwrap()
    }

    #[test]
    fn bytes_go_in_and_come_out() {
        let echo = shell("printf '%s:' \"$1\"; cat");
        assert_eq!(echo.run("wrap", &[0, 255, 10]).unwrap(), b"wrap:\x00\xff\n");
        assert_eq!(shell("exec >&-; exit 0").run("wrap", &[1; 32]).unwrap(), b"", "it need not listen");
        assert!(Command::new(&[]).is_none());
    }

    #[test]
    fn what_goes_wrong_is_told() {
        let failed = |script| shell(script).run("unwrap", &[1; 32]).unwrap_err();
        assert!(failed("exit 3").contains("`sh … unwrap` ended with exit status: 3"));
        assert!(failed("kill -9 $$").contains("signal: 9"));
        assert!(failed("cat /dev/zero").contains("more than 4096 bytes"));
        assert!(failed("head -c 4097 /dev/zero").contains("more than 4096 bytes"));
        let missing = Command::new(&["/nowhere/kms".to_owned()]).unwrap().run("wrap", b"").unwrap_err();
        assert!(missing.contains("/nowhere/kms") && missing.contains("cannot be started"), "{missing}");
    }

    #[test]
    fn one_that_does_not_answer_is_ended_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
        let started = (0..8).any(|doubled| {
            let patience = Duration::from_millis(100 << doubled);
            let slow = Command { patience, ..shell(&script) };
            assert!(slow.run("wrap", b"").unwrap_err().contains("no answer within"));
            std::fs::read_to_string(&file).is_ok_and(|pid| pid.ends_with('\n'))
        });
        assert!(started, "it never got so far");
        let stat = format!("/proc/{}/stat", std::fs::read_to_string(&file).unwrap().trim());
        // Gone, or dead and not yet collected by whoever inherited it.
        let ended = || std::fs::read_to_string(&stat).map_or(true, |state| state.contains(") Z "));
        assert!((0..1000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            ended()
        }));
    }
}
