//! A world behind HTTP, for tests and for the binary.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::api::{ApiRequest, ApiResponse};
use crate::config::WorldConfig;
use crate::http::router;
use crate::world::World;

/// How often exports and rollovers progress without calls.
const TICK: Duration = Duration::from_millis(50);

/// A shared world with a clock. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Sim {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    world: World,
    /// Added to the wall clock, milliseconds; `None` leaves the clock to the owner.
    offset_ms: Option<i64>,
}

/// A simulator serving HTTP on its own thread; stops when dropped.
#[derive(Debug)]
pub struct RunningSim {
    /// `http://127.0.0.1:<port>`, good for every service.
    pub url: String,
    /// The world behind it.
    pub handle: Sim,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sim {
    /// A world on the wall clock.
    pub fn new(config: WorldConfig) -> Self {
        Self::in_the_past(config, 0)
    }

    /// A world whose clock is `ago_ms` behind the wall clock, until [`Sim::advance`] brings it to the present: for
    /// tables whose stream is not brand-new.
    pub fn in_the_past(config: WorldConfig, ago_ms: i64) -> Self {
        let world = World::new(WorldConfig {
            start_ms: wall_ms() - ago_ms,
            ..config
        });
        Self {
            state: Arc::new(Mutex::new(State {
                world,
                offset_ms: Some(-ago_ms),
            })),
        }
    }

    /// A world whose clock moves only through [`World::set_now`] and [`Sim::advance`].
    pub fn on_manual_clock(world: World) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                world,
                offset_ms: None,
            })),
        }
    }

    /// Starts a simulator on 127.0.0.1 and a free port.
    pub fn start(config: WorldConfig) -> std::io::Result<RunningSim> {
        Self::new(config).listen(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Serves this simulator on a thread of its own.
    pub fn listen(self, address: SocketAddr) -> std::io::Result<RunningSim> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let sim = self.clone();
        let thread = std::thread::Builder::new()
            .name("aws-sim".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    match TcpListener::from_std(listener) {
                        Ok(listener) => {
                            tokio::select! {
                                result = serve(listener, sim) => {
                                    if let Err(error) = result {
                                        tracing::error!(%error, "stopped serving");
                                    }
                                }
                                _ = stopped => {}
                            }
                        }
                        Err(error) => tracing::error!(%error, "could not listen"),
                    }
                });
                runtime.shutdown_background();
            })?;
        Ok(RunningSim {
            url,
            handle: self,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The world, its clock up to date.
    pub fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        let mut state = self.lock();
        if let Some(offset_ms) = state.offset_ms {
            state.world.set_now(wall_ms() + offset_ms);
        }
        work(&mut state.world)
    }

    /// Performs one call.
    pub fn call(&self, request: &ApiRequest) -> ApiResponse {
        self.with(|world| world.call(request))
    }

    /// Moves the clock forward.
    pub fn advance(&self, ms: i64) {
        let mut state = self.lock();
        match &mut state.offset_ms {
            Some(offset_ms) => *offset_ms += ms,
            None => state.world.advance(ms),
        }
        drop(state);
        self.with(|_| ());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunningSim {
    /// Stops serving; open connections are dropped.
    pub fn stop(mut self) {
        self.shut_down();
    }

    /// Moves the clock forward.
    pub fn advance(&self, ms: i64) {
        self.handle.advance(ms);
    }

    fn shut_down(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone if serving ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for RunningSim {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Serves all services on one listener until the future is dropped.
pub async fn serve(listener: TcpListener, sim: Sim) -> std::io::Result<()> {
    let app = router::app(sim.clone());
    let ticking = async move {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            sim.with(|_| ());
        }
    };
    tokio::select! {
        result = axum::serve(listener, app) => result,
        () = ticking => Ok(()),
    }
}

fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
