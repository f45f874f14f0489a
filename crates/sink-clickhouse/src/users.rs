//! As whom a call is made.
//!
//! The embedded engine has an owner and a reader per database. An external server has the configured
//! user, and a reader per database if it lets us make one.

use std::collections::HashMap;
use std::sync::Arc;

use mirror::error::{Error, ErrorKind, Result};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::client::{ClickHouse, statement};
use crate::endpoint::{Address, Credentials};
use crate::engine::{DATABASE_PREFIX, Growth, Role, slot_of, slot_user};
use crate::error::CallError;
use crate::sql;

/// How this ClickHouse tells users apart.
#[derive(Debug)]
pub(crate) enum Users {
    /// The embedded engine: databases `ws_<n>`.
    Slots(mpsc::Sender<Growth>),
    /// An external server.
    Server {
        /// Whether queries are refused when there is no reader.
        require_reader: bool,
        /// What was found out so far, by database: the reader, or that there is none.
        readers: Mutex<HashMap<String, Option<Credentials>>>,
    },
}

impl Users {
    pub(crate) fn slots(growth: mpsc::Sender<Growth>) -> Self {
        Self::Slots(growth)
    }

    pub(crate) fn server(require_reader: bool) -> Self {
        Self::Server {
            require_reader,
            readers: Mutex::default(),
        }
    }
}

impl ClickHouse {
    /// Who may change the database, and where.
    pub(crate) async fn owner(
        &self,
        database: &str,
        context: &str,
    ) -> Result<(Arc<Address>, Credentials)> {
        match &self.users {
            Users::Slots(growth) => self.slot(growth, Role::Owner, database, context).await,
            Users::Server { .. } => {
                let address = self.endpoint.get().map_err(|error| error.of(context))?;
                let admin = address.admin.clone();
                Ok((address, admin))
            }
        }
    }

    /// Who may only read the database, and where; `true` if that user can read nothing else.
    pub(crate) async fn reader(
        &self,
        database: &str,
        context: &str,
    ) -> Result<(Arc<Address>, Credentials, bool)> {
        match &self.users {
            Users::Slots(growth) => {
                let (address, reader) = self.slot(growth, Role::Reader, database, context).await?;
                Ok((address, reader, true))
            }
            Users::Server {
                require_reader,
                readers,
            } => {
                let address = self.endpoint.get().map_err(|error| error.of(context))?;
                let mut readers = readers.lock().await;
                let reader = match readers.get(database) {
                    Some(known) => known.clone(),
                    None => {
                        let made = self.make_reader(&address, database).await?;
                        readers.insert(database.to_owned(), made.clone());
                        made
                    }
                };
                match reader {
                    None if *require_reader => Err(Error::new(
                        ErrorKind::Permanent,
                        format!(
                            "{context}: the ClickHouse server does not let us make a user that only reads {database}; grant ACCESS MANAGEMENT to the configured user"
                        ),
                    )),
                    None => {
                        let admin = address.admin.clone();
                        Ok((address, admin, false))
                    }
                    Some(reader) => Ok((address, reader, true)),
                }
            }
        }
    }

    /// Forgets the reader of a dropped database and drops it on the server.
    pub(crate) async fn forget_reader(&self, database: &str) {
        let Users::Server { readers, .. } = &self.users else {
            return;
        };
        if let Some(Some(reader)) = readers.lock().await.remove(database) {
            let drop = format!("DROP USER IF EXISTS {}", sql::identifier(&reader.user));
            if let Err(error) = self.admin_statement(drop).await {
                self.warn(format!(
                    "the reader of the dropped database {database} could not be dropped: {error}"
                ));
            }
        }
    }

    async fn slot(
        &self,
        growth: &mpsc::Sender<Growth>,
        role: Role,
        database: &str,
        context: &str,
    ) -> Result<(Arc<Address>, Credentials)> {
        let Some(slot) = slot_of(database) else {
            return Err(Error::new(
                ErrorKind::Permanent,
                format!(
                    "{context}: the embedded engine only has databases named {DATABASE_PREFIX}<n>, not {database}"
                ),
            ));
        };
        let mut address = self.endpoint.get().map_err(|error| error.of(context))?;
        if slot > address.slots {
            // Connections that we hold would delay the restart.
            drop(address);
            let (answer, grown) = oneshot::channel();
            let stopped = || CallError::Down("it was stopped".to_owned()).of(context);
            growth.send((slot, answer)).await.map_err(|_| stopped())?;
            grown.await.map_err(|_| stopped())??;
            address = self.endpoint.get().map_err(|error| error.of(context))?;
        }
        let user = slot_user(role, slot, &address.admin);
        Ok((address, user))
    }

    /// Makes the reader of a database on an external server; `None`, with a warning, if the server refuses.
    async fn make_reader(&self, address: &Address, database: &str) -> Result<Option<Credentials>> {
        let user = reader_name(database);
        let reader = Credentials {
            password: address.admin.password.derive(&user),
            user,
        };
        for sql in reader_statements(database, &reader) {
            match statement(address, &address.admin, sql).await {
                Ok(_) => {}
                Err(error @ CallError::Exception { .. }) => {
                    self.warn(format!(
                        "users' queries run as the configured ClickHouse user, read-only but not confined to one database: the server refused to make a reader (code {}); grant ACCESS MANAGEMENT to the configured user",
                        error.code().unwrap_or(0)
                    ));
                    return Ok(None);
                }
                Err(error) => return Err(error.of(format!("make a reader of database {database}"))),
            }
        }
        Ok(Some(reader))
    }
}

fn reader_name(database: &str) -> String {
    format!("tb_reader_{database}")
}

/// The user is made, gets its password even if it was there before, and one right.
fn reader_statements(database: &str, reader: &Credentials) -> [String; 3] {
    let user = sql::identifier(&reader.user);
    let hash = sql::literal(&reader.password.sha256_hex());
    [
        format!("CREATE USER IF NOT EXISTS {user} IDENTIFIED WITH sha256_hash BY {hash}"),
        format!("ALTER USER {user} IDENTIFIED WITH sha256_hash BY {hash}"),
        format!("GRANT SELECT ON {}.* TO {user}", sql::identifier(database)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Secret;

    #[test]
    fn a_reader_gets_select_on_one_database_and_its_password_is_not_sent() {
        let reader = Credentials {
            user: reader_name("ws`1"),
            password: Secret::new("pw"),
        };
        let statements = reader_statements("ws`1", &reader);
        assert_eq!(
            statements[2],
            "GRANT SELECT ON `ws\\`1`.* TO `tb_reader_ws\\`1`"
        );
        assert!(statements.iter().all(|sql| !sql.contains("'pw'")));
    }
}
