//! The server over real sockets, with a service that does what each test asks of it.

#[cfg(test)]
mod files;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod order;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod toy;
