//! Goal: whoever types lines for `cooee send` at a terminal is asked for each, sees each reply as it was sent, is told
//! what goes wrong, and can go on where that is possible.
//!
//! Method: the built client on a pseudo-terminal of the test's own, whose whole screen is compared; against the built
//! server, and against small ones in the test that answer in parts, say something unasked, or die.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{
    Collected, PATIENCE, Process, Ran, Server, answers_in_parts, cooee, finish, holds_in_one_of_five, serve_one,
    wait_until,
};
use socket2::SockRef;

fn send(address: impl ToString, args: &[&str]) -> Command {
    cooee(&[&["send", address.to_string().as_str()], args].concat())
}

fn lines(ran: &Ran) -> Vec<&str> {
    str::from_utf8(&ran.stdout).expect("UTF-8").lines().collect()
}

/// A terminal: the end that a person has, and the end that a program has.
fn terminal() -> (File, File) {
    let pair = nix::pty::openpty(None, None).unwrap();
    (pair.master.into(), pair.slave.into())
}

/// A pipe that takes nothing more. Its writing end blocks, as those that a shell makes.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    // fcntl(2) is the same for a pipe.
    SockRef::from(&writer).set_nonblocking(true).unwrap();
    while (&writer).write(&[b'x'; 4096]).is_ok() {}
    SockRef::from(&writer).set_nonblocking(false).unwrap();
    (reader, writer)
}

/// A person at the terminal of a client.
struct Person {
    keyboard: File,
    screen: Collected,
    process: Process,
}

impl Person {
    fn at(endpoint: impl ToString, args: &[&str]) -> Person {
        let (keyboard, program) = terminal();
        let end = || program.try_clone().unwrap();
        let process = Process::spawn(send(endpoint, args).stdin(end()).stdout(end()).stderr(end()));
        let screen = Collected::of(keyboard.try_clone().unwrap());
        let person = Person { keyboard, screen, process };
        person.sees("> ");
        person
    }

    fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the whole screen shows this.
    #[track_caller]
    fn sees(&self, dialogue: &str) {
        let dialogue = dialogue.replace('\n', "\r\n");
        if !crate::support::holds_within(PATIENCE, || self.screen.text() == dialogue) {
            panic!("the screen shows {:?} and not {dialogue:?}", self.screen.text());
        }
    }

    #[track_caller]
    fn ends_with(mut self, code: i32, dialogue: &str) {
        assert_eq!(self.process.exit_within(PATIENCE).expect("it ends").code(), Some(code), "{}", self.screen.text());
        self.sees(dialogue);
    }
}

/// Whether it takes less than a second: less than a pace that is set to more.
#[track_caller]
fn check_soon(what: &str, since: Instant) {
    let took = since.elapsed();
    assert!(took < Duration::from_secs(5), "{what} took {took:?}");
}

#[test]
fn a_terminal_gets_a_prompt_and_nothing_that_has_power_over_it() {
    for framing in ["chunk", "line"] {
        let server = Server::start(&["--mode=ack", "--framing", framing]);
        let (mut person, program) = terminal();
        let end = || program.try_clone().unwrap();
        let mut command = send(server.address(), &["--framing", framing]);
        let mut process = Process::spawn(command.stdin(end()).stdout(end()).stderr(end()));
        drop(command);
        let screen = Collected::of(person.try_clone().unwrap());
        wait_until("it asks", || screen.text() == "> ");
        // What is typed is shown by the terminal itself; the escape is what comes back. ^V takes the next key as it is.
        person.write_all(b"hi\x16\x1b[2J\n").unwrap();
        let dialogue = "[2J\r\n数据[hi\\u{1b}[2J]收到了!\r\n> ";
        wait_until("it answers and asks again", || screen.text().ends_with(dialogue));
        assert!(!screen.text().contains('\u{1b}'), "{}", screen.text().escape_debug());
        // The terminal is the shell's: its flags are as they were (O_NONBLOCK is 04000).
        let flags = std::fs::read_to_string(format!("/proc/{}/fdinfo/0", process.id())).unwrap();
        let flags = flags.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        assert_eq!(u32::from_str_radix(flags, 8).unwrap() & 0o4000, 0, "{flags}");
        person.write_all(b"bye\n").unwrap();
        wait_until("it says good-bye", || screen.text().ends_with("bye\r\n数据[bye]收到了!\r\n"));
        assert_eq!(process.exit_within(PATIENCE).expect("it ends").code(), Some(0));
    }
}

#[test]
fn a_prompt_that_nobody_reads_does_no_harm() {
    let server = Server::start(&["--mode=ack"]);
    let (mut person, program) = terminal();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = send(server.address(), &[]);
    let process = Process::spawn(command.stdin(program).stdout(Stdio::piped()).stderr(writer));
    person.write_all(b"hi\nbye\n").unwrap();
    let ran = finish(process);
    assert_eq!((ran.code, lines(&ran)), (Some(0), vec!["数据[hi]收到了!", "数据[bye]收到了!"]));
}

#[test]
fn a_prompt_that_has_no_room_does_not_hold_the_client_up() {
    let server = Server::start(&["--mode=ack"]);
    let (mut person, program) = terminal();
    let (reader, writer) = full_pipe();
    let mut command = send(server.address(), &[]);
    let process = Process::spawn(command.stdin(program).stdout(Stdio::piped()).stderr(writer));
    person.write_all(b"hi\nbye\n").unwrap();
    let ran = finish(process);
    assert_eq!((ran.code, lines(&ran)), (Some(0), vec!["数据[hi]收到了!", "数据[bye]收到了!"]));
    drop(reader);
}

#[test]
fn what_cannot_be_sent_at_a_prompt_is_said_and_asked_for_again() {
    let server = Server::start(&["--framing=line"]);
    let args = ["--encoding=latin1", "--framing=line", "--max-frame=12"];
    let mut person = Person::at(server.address(), &args);
    person.types("你\n");
    let mut dialogue = "> 你\ncooee: the encoding cannot hold '你' (--encoding)\n> ".to_owned();
    person.sees(&dialogue);
    person.types("much too long\n");
    dialogue += "much too long\ncooee: a line has more than 12 bytes (--max-frame), and --raw sends any length\n> ";
    person.sees(&dialogue);
    person.types("é\n");
    dialogue += "é\né\n> ";
    person.sees(&dialogue);
    person.types("\x04");
    // The shell's prompt begins a line.
    person.ends_with(0, &(dialogue + "\n"));
}

#[test]
fn a_line_that_is_not_answered_waits_as_long_as_is_told_and_a_blank_one_does_not() {
    let server = Server::start(&["tcp://127.0.0.1:0?mode=discard", "tcp://127.0.0.1:0?mode=discard&framing=line"]);
    let mut person = Person::at(server.addresses()[0], &["--pace=100ms"]);
    person.types("hi\n");
    let mut dialogue = "> hi\ncooee: no reply within 100ms; --pace waits longer for one\n> ".to_owned();
    person.sees(&dialogue);
    // It is said once.
    person.types("you\n");
    dialogue += "you\n> ";
    person.sees(&dialogue);
    person.types("\x04");
    assert_eq!(person.process.exit_within(PATIENCE).expect("it ends").code(), Some(1), "nothing was answered");

    let mut person = Person::at(server.addresses()[0], &["--pace=1h"]);
    let start = Instant::now();
    person.types("\n");
    person.sees("> \n> ");
    person.types("\n");
    person.sees("> \n> \n> ");
    check_soon("a line without anything to send", start);
    // Where no reply is expected, none is waited for.
    let mut person = Person::at(server.addresses()[1], &["--pace=1h", "--replies=0", "--framing=line"]);
    person.types("hi\n");
    person.sees("> hi\n> ");
    person.types("\x04");
    person.ends_with(0, "> hi\n> \n");
    check_soon("lines that nobody answers", start);
}

#[test]
fn a_reply_at_a_prompt_is_one_line_although_its_message_is_at_its_beginning() {
    let parts: &[&[u8]] = &[b"you said hi, ", b"and I say ", b"that this is all"];
    holds_in_one_of_five("one line", || {
        let mut person = Person::at(answers_in_parts(parts, Duration::from_millis(10)), &[]);
        person.types("hi\n");
        wait_until("it asks again", || person.screen.text().ends_with("\r\n> "));
        person.screen.text() == "> hi\r\nyou said hi, and I say that this is all\r\n> "
    });
    // A pipe to a program that waits for whole lines.
    holds_in_one_of_five("one line in a pipe", || {
        let mut command = send(answers_in_parts(parts, Duration::from_millis(10)), &[]);
        let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let output = Collected::of(process.child().stdout.take().unwrap());
        process.child().stdin.as_mut().unwrap().write_all(b"hi\n").unwrap();
        wait_until("its line has ended", || output.text().ends_with('\n'));
        output.text() == "you said hi, and I say that this is all\n"
    });
}

#[test]
fn what_comes_while_a_prompt_stands_begins_a_line_and_the_prompt_comes_again() {
    let (tell, news) = std::sync::mpsc::channel::<&[u8]>();
    let address = serve_one(move |mut stream| {
        while let Ok(news) = news.recv() {
            stream.write_all(news).unwrap();
        }
    });
    let person = Person::at(address, &["--framing=line"]);
    tell.send(b"news\n").unwrap();
    person.sees("> \nnews\n> ");
    tell.send(b"more\n").unwrap();
    person.sees("> \nnews\n> \nmore\n> ");
    // The server is gone while the prompt stands.
    drop(tell);
    wait_until("it is said", || person.screen.text().contains("closed: the server ended the conversation\r\n"));
    let dialogue = format!("> \nnews\n> \nmore\n> \ncooee: {address}: closed: the server ended the conversation\n");
    person.ends_with(1, &dialogue);
}

#[test]
fn a_server_that_dies_while_a_prompt_stands_is_told() {
    for linger in [None, Some(Duration::ZERO)] {
        let (told, die) = std::sync::mpsc::channel::<()>();
        let address = serve_one(move |stream| {
            let _ = die.recv();
            SockRef::from(&stream).set_linger(linger).unwrap();
        });
        let person = Person::at(address, &[]);
        drop(told);
        let words = if linger.is_none() {
            "closed: the server ended the conversation"
        } else {
            "reset: the server dropped the connection"
        };
        person.ends_with(1, &format!("> \ncooee: {address}: {words}\n"));
    }
}
