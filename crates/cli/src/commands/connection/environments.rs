//! The environments that a connection is used in: which there are, whether they have AWS credentials, which to take.

use serde_json::Value;

use crate::args::Wanted;
use crate::client::Client;
use crate::failure::{Exit, Failure, Outcome};
use crate::interview::{Interview, Question};
use crate::workspace::Session;

/// The servers that a command could talk to.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    /// The Local server.
    pub(crate) local: Session,
    /// The Cloud server, or why there is none.
    pub(crate) cloud: Outcome<Session>,
    /// What the flags choose, if they do.
    pub(crate) chosen: Option<Wanted>,
}

impl Sessions {
    /// The server of the flags; Local if they say nothing.
    pub(crate) fn current(&self) -> Outcome<Session> {
        match self.chosen {
            Some(Wanted::Cloud) => self.cloud.clone(),
            _ => Ok(self.local.clone()),
        }
    }
}

/// An environment that can be used.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// `Local` or `Cloud`.
    pub(crate) name: &'static str,
    /// What `tb` is called with to use it.
    pub(crate) tb: &'static str,
    /// Its server, with the workspace's token.
    pub(crate) client: Client,
}

/// What there is.
#[derive(Debug)]
pub(crate) struct Survey {
    local: Outcome<Place>,
    cloud: Outcome<Place>,
}

/// Looks at the environments that may be wanted.
pub(crate) async fn survey(sessions: &Sessions, wanted: Option<Wanted>) -> Survey {
    let unwanted = || Err(Failure::new(Exit::Usage, "it is not asked for"));
    let wanted = wanted.or(sessions.chosen);
    let local = match wanted {
        Some(Wanted::Cloud) => unwanted(),
        _ => look(&sessions.local, "Local", "tb").await,
    };
    let cloud = match (wanted, &sessions.cloud) {
        (Some(Wanted::Local), _) => unwanted(),
        (_, Err(failure)) => Err(failure.clone()),
        (_, Ok(session)) => look(session, "Cloud", "tb --cloud").await,
    };
    Survey { local, cloud }
}

/// The environment, if its server answers and has AWS credentials.
async fn look(session: &Session, name: &'static str, tb: &'static str) -> Outcome<Place> {
    let client = session.workspace().await?;
    client.get("/v0/integrations/s3/settings", &[]).await?;
    Ok(Place { name, tb, client })
}

impl Survey {
    /// Says what cannot be used; fails if nothing can, or if what was asked for cannot.
    pub(crate) fn tell(&self, wanted: Option<Wanted>, interview: &Interview<'_>) -> Outcome {
        match (&self.local, &self.cloud) {
            (Ok(_), Ok(_)) => Ok(()),
            (Err(local), Ok(_)) => {
                if wanted != Some(Wanted::Cloud) {
                    interview.printer.warning(format_args!(
                        "Local cannot be used: {}{}. Going on with Cloud only",
                        local.problem,
                        hint(local)
                    ));
                }
                Ok(())
            }
            (Ok(_), Err(cloud)) => match wanted {
                Some(Wanted::Both) => Err(cloud.clone()),
                Some(Wanted::Local) => Ok(()),
                _ => {
                    interview.tell(&format!(
                        "Going on with Local only, as there is no Cloud: {}{}.",
                        cloud.problem,
                        hint(cloud)
                    ));
                    Ok(())
                }
            },
            (Err(local), Err(cloud)) => match wanted {
                Some(Wanted::Cloud) => Err(cloud.clone()),
                Some(Wanted::Local) => Err(local.clone()),
                _ => Err(Failure::new(
                    local.exit,
                    format!("no environment can be used. Local: {}", local.problem),
                )
                .hint(format!(
                    "{}; for Cloud, {}",
                    local
                        .hint
                        .as_deref()
                        .unwrap_or("tb local restart --use-aws-creds"),
                    cloud.hint.as_deref().unwrap_or(&cloud.problem)
                ))),
            },
        }
    }

    /// Which ones: those that were asked for, or that a person wants, or the only one there is.
    pub(crate) fn choose(
        self,
        wanted: Option<Wanted>,
        interview: &Interview<'_>,
    ) -> Outcome<Vec<Place>> {
        let (local, cloud) = match (self.local, self.cloud) {
            (Ok(local), Ok(cloud)) => (local, cloud),
            (Ok(place), Err(_)) | (Err(_), Ok(place)) => return Ok(vec![place]),
            (Err(failure), Err(_)) => return Err(failure),
        };
        let wanted = match wanted {
            Some(wanted) => wanted,
            None => {
                if interview.asks {
                    interview.tell("Environments: 1 Local, 2 Cloud, 3 Both");
                }
                let question = Question {
                    prompt: "Where is the connection used",
                    option: "--env local, cloud or both",
                    default: Some("3".to_owned()),
                };
                interview.answer(&question, None, |answer| {
                    match answer.to_ascii_lowercase().as_str() {
                        "1" | "local" => Ok(Wanted::Local),
                        "2" | "cloud" => Ok(Wanted::Cloud),
                        "3" | "both" => Ok(Wanted::Both),
                        _ => Err(format!("{answer:?} is not an environment: write 1, 2 or 3")),
                    }
                })?
            }
        };
        Ok(match wanted {
            Wanted::Local => vec![local],
            Wanted::Cloud => vec![cloud],
            Wanted::Both => vec![local, cloud],
        })
    }

    /// Everything that can be used.
    pub(crate) fn all(self) -> Vec<Place> {
        [self.local, self.cloud].into_iter().flatten().collect()
    }
}

fn hint(failure: &Failure) -> String {
    let hint = failure.hint.as_ref();
    hint.map_or_else(String::new, |hint| format!(" ({hint})"))
}

/// `Local`, `Local and Cloud`.
pub(crate) fn listed(places: &[Place]) -> String {
    let names: Vec<&str> = places.iter().map(|place| place.name).collect();
    names.join(" and ")
}

/// Names of the environments, for JSON.
pub(crate) fn names(places: &[Place]) -> Vec<Value> {
    let lower = |place: &Place| Value::String(place.name.to_ascii_lowercase());
    places.iter().map(lower).collect()
}
