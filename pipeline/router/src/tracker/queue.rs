//! The bounded queue between the threads that route and the thread that writes.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Stopwatch;
use super::log_file::LogFile;

/// Bytes that are written at a time at most, unless one line is longer.
const BATCH_BYTES: usize = 1 << 18;

/// What happens to a line that finds the queue full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The caller waits until there is room: nothing is lost, routing slows down to the disk's speed.
    #[default]
    Wait,
    /// The line is dropped and counted.
    Drop,
}

/// Lines that a log took, wrote and lost since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogCounts {
    /// Lines that were handed over.
    pub accepted: u64,
    /// Lines that are in the file.
    pub written: u64,
    /// Lines that found the queue full under [`WhenFull::Drop`].
    pub dropped: u64,
    /// Lines that could not be written, such as on a full disk.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    /// What the writing thread met since the last flush.
    error: Mutex<Option<io::Error>>,
}

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// A log with its queue; without one, lines are written by the thread that brings them.
#[derive(Debug)]
pub(super) struct Queue {
    log: Arc<LogFile>,
    counters: Arc<Counters>,
    when_full: WhenFull,
    writer: Option<Writer>,
}

#[derive(Debug)]
struct Writer {
    sender: SyncSender<Message>,
    thread: JoinHandle<()>,
}

impl Queue {
    /// `capacity`: lines that may wait; 0 writes in the caller. `linger`: how long a line may wait for others.
    pub(super) fn new(log: LogFile, capacity: usize, linger: Duration, when_full: WhenFull) -> io::Result<Self> {
        let (log, counters) = (Arc::new(log), Arc::new(Counters::default()));
        let writer = if capacity == 0 {
            None
        } else {
            let (sender, receiver) = sync_channel(capacity);
            let (log, counters) = (log.clone(), counters.clone());
            let thread = std::thread::Builder::new()
                .name("routewright-log".to_owned())
                .spawn(move || write_all(&log, &counters, &receiver, linger))?;
            Some(Writer { sender, thread })
        };
        Ok(Self { log, counters, when_full, writer })
    }

    pub(super) fn log(&self) -> &LogFile {
        &self.log
    }

    pub(super) fn counts(&self) -> LogCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        LogCounts {
            accepted: read(&counters.accepted),
            written: read(&counters.written),
            dropped: read(&counters.dropped),
            failed: read(&counters.failed),
        }
    }

    /// Hands over a line with its line break.
    pub(super) fn push(&self, line: Vec<u8>) -> io::Result<()> {
        self.counters.accepted.fetch_add(1, Ordering::Relaxed);
        let Some(writer) = &self.writer else {
            let result = self.log.append(&line);
            let counter = if result.is_ok() { &self.counters.written } else { &self.counters.failed };
            counter.fetch_add(1, Ordering::Relaxed);
            return result;
        };
        let gone = || io::Error::other("the writing thread has ended");
        match self.when_full {
            WhenFull::Wait => writer.sender.send(Message::Line(line)).map_err(|_| gone()),
            WhenFull::Drop => match writer.sender.try_send(Message::Line(line)) {
                Ok(()) => Ok(()),
                Err(TrySendError::Full(_)) => {
                    self.counters.dropped.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                }
                Err(TrySendError::Disconnected(_)) => Err(gone()),
            },
        }
    }

    /// Waits until every line handed over before is in the file; the first error since the last flush is this one's.
    pub(super) fn flush(&self) -> io::Result<()> {
        if let Some(writer) = &self.writer {
            let (done, wait) = sync_channel(1);
            let gone = || io::Error::other("the writing thread has ended");
            writer.sender.send(Message::Flush(done)).map_err(|_| gone())?;
            wait.recv().map_err(|_| gone())?;
        }
        let error = self.counters.error.lock().unwrap_or_else(PoisonError::into_inner).take();
        error.map_or(Ok(()), Err)
    }
}

impl Drop for Queue {
    /// Writes what waits.
    fn drop(&mut self) {
        if let Some(Writer { sender, thread }) = self.writer.take() {
            drop(sender);
            // A writer that panicked has nothing left to write.
            let _ended = thread.join();
        }
    }
}

/// The writing thread: collects lines until a batch is full, its time is over or somebody waits, and appends them at once.
fn write_all(log: &LogFile, counters: &Counters, receiver: &Receiver<Message>, linger: Duration) {
    let mut batch = Vec::new();
    while let Ok(first) = receiver.recv() {
        let clock = Stopwatch::start();
        let (mut n_lines, mut waiting) = (0, Vec::new());
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Line(line) => {
                    n_lines += 1;
                    batch.extend_from_slice(&line);
                }
                Message::Flush(done) => waiting.push(done),
            }
            let is_due = BATCH_BYTES <= batch.len() || !waiting.is_empty();
            let left = if is_due { Duration::ZERO } else { linger.saturating_sub(clock.elapsed()) };
            next = match receiver.recv_timeout(left) {
                Ok(message) if batch.len() < 2 * BATCH_BYTES => Some(message),
                Ok(message) => {
                    write_batch(log, counters, &mut batch, &mut n_lines);
                    Some(message)
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
            };
        }
        write_batch(log, counters, &mut batch, &mut n_lines);
        for done in waiting {
            // Whoever waited may have gone.
            let _sent = done.send(());
        }
    }
}

fn write_batch(log: &LogFile, counters: &Counters, batch: &mut Vec<u8>, n_lines: &mut u64) {
    if *n_lines == 0 {
        return;
    }
    let counter = match log.append(batch) {
        Ok(()) => &counters.written,
        Err(error) => {
            counters.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            &counters.failed
        }
    };
    counter.fetch_add(*n_lines, Ordering::Relaxed);
    batch.clear();
    *n_lines = 0;
}
