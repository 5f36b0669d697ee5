//! Follows files: says when what they hold has changed and come to rest.
//!
//! Renaming over a file, a `ConfigMap`'s links and writing in place are all
//! seen; what is written in place counts once its writer has closed it. Links
//! are followed, and files that are not there yet are waited for. Network file
//! systems tell nothing of what others do.

mod chain;
mod seen;
mod settle;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch};
use rustix::io::Errno;

use self::chain::Places;
use self::seen::{changed_since, look};
use self::settle::{Happened, Settling};

/// What happens in a folder. Not that its files are written to: logs may lie
/// there.
const IN_FOLDER: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);
/// What happens to a file.
const TO_FILE: WatchFlags =
    WatchFlags::MODIFY.union(WatchFlags::CLOSE_WRITE).union(WatchFlags::ATTRIB).union(WatchFlags::DELETE_SELF);

/// Follows files on a thread of its own until it is dropped.
#[derive(Debug)]
pub struct FileWatch {
    orders: Sender<Order>,
    bell: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Order {
    Follow(Vec<PathBuf>, SystemTime),
    Ask(Sender<bool>),
    End,
}

impl FileWatch {
    /// Follows `paths`, files and folders, and calls `at_rest` on its own
    /// thread whenever what they hold has changed and come to rest. `since` is
    /// when somebody began to read them last: what changed after that counts.
    pub fn start(
        paths: Vec<PathBuf>,
        since: SystemTime,
        at_rest: impl FnMut() + Send + 'static,
    ) -> io::Result<FileWatch> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let events = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let (orders, told) = channel();
        let mut follower = Follower {
            events,
            bell: bell.try_clone()?,
            told,
            places: Places::default(),
            targets: HashMap::new(),
            settling: Settling::default(),
            paths,
        };
        // Before the first look, so that nothing is missed between.
        follower.arrange();
        follower.settling = Settling::new(look(&follower.paths));
        let thread = std::thread::Builder::new().name("files".into());
        let thread = thread.spawn(move || follower.run(since, at_rest))?;
        Ok(FileWatch { orders, bell, thread: Some(thread) })
    }

    /// Follows these from now on; `since` is when they were read.
    pub fn follow(&self, paths: Vec<PathBuf>, since: SystemTime) {
        self.order(Order::Follow(paths, since));
    }

    /// Whether nothing has happened to the files since it was last told that
    /// they are at rest: whoever has read them by now has read that. If
    /// something has, it will be told again.
    pub fn is_at_rest(&self) -> bool {
        const PATIENCE: Duration = Duration::from_secs(10);
        let (answer, answered) = channel();
        self.order(Order::Ask(answer));
        // A thread that is gone tells nothing any more.
        answered.recv_timeout(PATIENCE).unwrap_or(true)
    }

    fn order(&self, order: Order) {
        // An error means that the thread is gone, which is told elsewhere.
        let _ = self.orders.send(order);
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        self.order(Order::End);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that follows files ended by a panic");
        }
    }
}

/// What a watch is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Folder(PathBuf),
    File(PathBuf),
}

struct Follower {
    events: OwnedFd,
    bell: OwnedFd,
    told: Receiver<Order>,
    paths: Vec<PathBuf>,
    places: Places,
    targets: HashMap<i32, Target>,
    settling: Settling,
}

impl Follower {
    fn run(mut self, since: SystemTime, mut at_rest: impl FnMut()) {
        if changed_since(&self.paths, since) {
            at_rest();
        }
        loop {
            if self.wait().is_err() {
                tracing::error!("files are not followed any more: the system refuses to wait for events");
                return;
            }
            let now = Instant::now();
            if self.read_events(now) {
                self.arrange();
            }
            loop {
                match self.told.try_recv() {
                    Ok(Order::Follow(paths, since)) => self.follow(paths, since),
                    Ok(Order::Ask(answer)) => {
                        if self.read_events(Instant::now()) {
                            self.arrange();
                        }
                        let is_still = !self.settling.is_moving();
                        if !is_still {
                            // Even if they come to hold the same again.
                            let paths = self.paths.clone();
                            self.settling.forget(&paths);
                        }
                        let _ = answer.send(is_still);
                    }
                    Ok(Order::End) | Err(TryRecvError::Disconnected) => return,
                    Err(TryRecvError::Empty) => break,
                }
            }
            if self.settling.due().is_some_and(|due| due <= now) {
                // A link may lead elsewhere, and nobody told.
                self.arrange();
                if self.settling.saw(look(&self.paths), Instant::now()) {
                    at_rest();
                }
            }
        }
    }

    fn follow(&mut self, paths: Vec<PathBuf>, since: SystemTime) {
        let is_new = |path: &PathBuf| !self.paths.contains(path);
        let new: Vec<PathBuf> = paths.iter().filter(|path| is_new(path)).cloned().collect();
        self.paths = paths;
        self.arrange();
        let now = Instant::now();
        self.settling.know(look(&self.paths), now);
        if changed_since(&new, since) {
            // What was read of them is not known here, so that the next look
            // must find something new.
            self.settling.forget(&new);
            self.settling.disturb(now);
        }
    }

    /// Waits for events, orders, or the time of the next look.
    fn wait(&self) -> io::Result<()> {
        let until = self.settling.due().map(|due| due.saturating_duration_since(Instant::now()));
        // One millisecond more: a wait that ends early would be a loop.
        let until = until.and_then(|time| Timespec::try_from(time + Duration::from_millis(1)).ok());
        let mut ready = [PollFd::new(&self.events, PollFlags::IN), PollFd::new(&self.bell, PollFlags::IN)];
        match poll(&mut ready, until.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.bell, &mut count);
        Ok(())
    }

    /// Takes what the system tells; whether places may be others now.
    fn read_events(&mut self, now: Instant) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.events, &mut buffer);
        let mut rearrange = false;
        while let Ok(event) = reader.next() {
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                self.settling.disturb(now);
                rearrange = true;
                continue;
            }
            match self.targets.get(&event.wd()) {
                Some(Target::Folder(folder)) => {
                    let name = event.file_name().map(|name| {
                        use std::os::unix::ffi::OsStrExt;
                        std::ffi::OsStr::from_bytes(name.to_bytes()).to_owned()
                    });
                    let matters = match (&name, self.places.folders.get(folder)) {
                        (None, _) | (_, Some(None)) => true,
                        (Some(name), Some(Some(names))) => names.contains(name),
                        (Some(_), None) => false,
                    };
                    if !matters {
                        continue;
                    }
                    let path = name.map_or_else(|| folder.clone(), |name| folder.join(name));
                    let what = if flags.contains(ReadFlags::CLOSE_WRITE) {
                        Happened::Closed
                    } else if flags.contains(ReadFlags::CREATE) && will_be_written(&path) {
                        Happened::Made
                    } else {
                        Happened::Replaced
                    };
                    self.settling.happened(&path, what, now);
                    rearrange |= what != Happened::Closed;
                }
                Some(Target::File(file)) => {
                    let what = if flags.contains(ReadFlags::MODIFY) {
                        Happened::Written
                    } else if flags.contains(ReadFlags::CLOSE_WRITE) {
                        Happened::Closed
                    } else if flags.contains(ReadFlags::ATTRIB) && !flags.contains(ReadFlags::DELETE_SELF) {
                        self.settling.disturb(now);
                        continue;
                    } else {
                        Happened::Replaced
                    };
                    self.settling.happened(file, what, now);
                }
                None => {}
            }
        }
        rearrange
    }

    /// Watches what matters now. Again, if it became something else meanwhile.
    fn arrange(&mut self) {
        const TIMES: usize = 8;
        for _ in 0..TIMES {
            let places = Places::of(&self.paths);
            let mut targets = HashMap::new();
            let folders = places.folders.keys().map(|path| (path, IN_FOLDER, Target::Folder(path.clone())));
            let files = places.files.keys().map(|path| (path, TO_FILE, Target::File(path.clone())));
            for (path, flags, target) in folders.chain(files) {
                match add_watch(&self.events, path, flags) {
                    Ok(number) => {
                        targets.insert(number, target);
                    }
                    Err(Errno::NOENT | Errno::NOTDIR) => {}
                    Err(error) => tracing::warn!(path = %path.display(), %error, "cannot be followed"),
                }
            }
            for number in self.targets.keys().filter(|number| !targets.contains_key(number)) {
                // An error: the system has removed it.
                let _ = remove_watch(&self.events, *number);
            }
            self.targets = targets;
            let is_settled = Places::of(&self.paths) == places;
            self.places = places;
            if is_settled {
                return;
            }
        }
    }
}

/// Whether a name that was made is that of a file which somebody opened to
/// write: neither a link nor a folder, nor another name of a file.
fn will_be_written(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.nlink() == 1)
}
