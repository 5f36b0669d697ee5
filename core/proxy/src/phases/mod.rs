//! What happens to a stream, one phase after the other: [`run`] is the
//! sentence, the others are its words.

mod attempt;
mod broadcast;
mod client_cert;
mod forwarding;
mod hosts;
mod max_forwards;
mod receive;
mod reply;
mod respond;
mod retry;
mod route;
pub(crate) mod run;
mod upgrade;
