//! Redis: a list of ids, a hash of payloads and a set of what is in flight.

use std::hint::black_box;
use std::time::{Duration, Instant};

use extensions::BoxError;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Script, cmd, pipe};

use super::{CLAIM, unknown};
use crate::payload::OrderPlaced;
use crate::subject::{Answer, Arguments};

/// How many commands go out together.
const PIPELINE: u64 = 500;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

const CLAIMED: &str = "\
    local ids = redis.call('RPOP', KEYS[1], ARGV[1])
    if not ids then return {} end
    local flight = {}
    for _, id in ipairs(ids) do flight[#flight + 1] = ARGV[2]; flight[#flight + 1] = id end
    redis.call('ZADD', KEYS[2], unpack(flight))
    return {ids, redis.call('HMGET', KEYS[3], unpack(ids))}";

const DROPPED: &str = "\
    redis.call('ZREM', KEYS[1], unpack(ARGV))
    return redis.call('HDEL', KEYS[2], unpack(ARGV))";

/// The payloads stay where they are.
const KEPT: &str = "\
    redis.call('ZREM', KEYS[1], unpack(ARGV))
    local now = redis.call('TIME')
    local at = now[1] * 1000 + math.floor(now[2] / 1000)
    local done = {}
    for _, id in ipairs(ARGV) do done[#done + 1] = at; done[#done + 1] = id end
    return redis.call('ZADD', KEYS[3], unpack(done))";

pub(super) async fn subject(arguments: &Arguments) -> Result<Answer, BoxError> {
    let client = redis::Client::open(&*arguments.url)?;
    // Half a second by default, which a machine that stalls takes now and then.
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let mut conn = client.get_multiplexed_async_connection_with_config(&config).await?;
    match &*arguments.step {
        "fire-1" => {
            let start = Instant::now();
            for n in 0..arguments.jobs {
                let _: u64 =
                    cmd("LPUSH").arg("queue").arg(OrderPlaced::json(n)).query_async(&mut conn).await?;
            }
            Ok(Answer::rate(arguments.jobs, start))
        }
        "bulk" => {
            let start = Instant::now();
            let mut next = 0;
            while next < arguments.jobs {
                let mut pipe = pipe();
                for n in next..arguments.jobs.min(next + PIPELINE) {
                    pipe.cmd("LPUSH").arg("queue").arg(OrderPlaced::json(n)).ignore();
                }
                let () = pipe.query_async(&mut conn).await?;
                next += PIPELINE;
            }
            Ok(Answer::rate(arguments.jobs, start))
        }
        "drain" => drain(&mut conn, arguments.jobs, arguments.keep).await,
        _ => unknown(arguments),
    }
}

async fn drain(conn: &mut MultiplexedConnection, jobs: u64, keep: bool) -> Result<Answer, BoxError> {
    let mut next = 0;
    while next < jobs {
        let mut pipe = pipe();
        for n in next..jobs.min(next + PIPELINE) {
            pipe.cmd("HSET").arg("payloads").arg(n).arg(OrderPlaced::json(n)).ignore();
            pipe.cmd("LPUSH").arg("queue").arg(n).ignore();
        }
        let () = pipe.query_async(conn).await?;
        next += PIPELINE;
    }
    let (claim, settle) = (Script::new(CLAIMED), Script::new(if keep { KEPT } else { DROPPED }));
    let start = Instant::now();
    let mut done = 0;
    loop {
        let mut claim = claim.key("queue");
        let claim = claim.key("flight").key("payloads").arg(CLAIM).arg(1_000);
        let claimed: Vec<Vec<String>> = claim.invoke_async(conn).await?;
        let [ids, payloads] = &claimed[..] else { return Ok(Answer::rate(done, start)) };
        for payload in payloads {
            black_box(serde_json::from_str::<OrderPlaced>(payload)?);
        }
        let mut settle = settle.key("flight");
        let _: u64 = settle.key("payloads").key("done").arg(ids).invoke_async(conn).await?;
        done += ids.len() as u64;
    }
}
