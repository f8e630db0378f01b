//! The journal room from outside: what is acknowledged is read back, damage is named, faults of the disk lose
//! nothing that was acknowledged.

mod beside;
mod damage;
mod events;
mod faults;
mod history;
mod layout;
mod live;
mod rate;
mod shelves;
mod support;
