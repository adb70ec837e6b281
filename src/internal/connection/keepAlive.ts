/**
 * When a peer is asked whether it is still there, and when it is given up.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import { TimedOut, TransportError } from "../../TransportError.ts"
import type { Link, Part } from "./middleware.ts"

/** When a peer is asked, and for how long it is waited for. */
export interface Times {
  /** How long nothing was heard before the peer is asked; `"Infinity"` for never. Default: 30 seconds. */
  readonly interval?: Duration.Input | undefined
  /**
   * How long nothing was sent before something is, whatever was heard: for protocols whose servers count what their clients
   * send, such as MQTT (3.1.1, section 3.1.2.10). Default: none.
   */
  readonly sendInterval?: Duration.Input | undefined
  /** How long to wait for the answer, or anything else. Default: 10 seconds. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * How a client asks with a request of its own, whose answer is dropped.
 *
 * **Details**
 *
 * Where requests are answered in their order nothing is asked while a call is not answered yet: the answer would come behind that.
 * What is true then is `unanswered`. By id, that is so only while there is no place for another call.
 *
 * Whatever the server answers shows that it is there, a failure too.
 *
 * @category models
 * @since 0.1.0
 */
export interface ByCall<out Request> extends Pick<Times, "interval" | "timeout"> {
  /** The request that is sent to ask whether the peer is still there. */
  readonly ping: Request
  /**
   * How long a peer may keep silent while it cannot be asked; it has to be longer than the longest call takes. Default: none, so
   * that a call waits for as long as the connection lives.
   */
  readonly unanswered?: Duration.Input | undefined
}

interface Waiting {
  readonly waitsFor: "pong" | "response"

  /** What was heard when it began. */
  readonly heardCount: number
  /** How far the peer was with what was written to it, where it had not taken all of it. */
  readonly sending: number | undefined
  readonly until: number
}

/**
 * | state | lasts until | something is heard | what we write | when that is over |
 * |---|---|---|---|---|
 * | quiet | `interval` after something was heard | quiet | | is on its way: sending; else asked |
 * | sending: what we have written waits for the peer | `timeout` | quiet | has moved: sending; is all taken: quiet | given up |
 * | asked | `timeout` | quiet | is on its way: sending | given up |
 * | unasked: the peer cannot be asked before it has answered something else | `unanswered` | quiet | is on its way: sending | given up |
 *
 * Whatever it is in, something is sent when nothing was for `sendInterval`; a peer that keeps silent is asked by that. A peer that is
 * not listened to is not given up, and asked for the sake of `sendInterval` alone.
 */
export const keepAlive = <In, Out>(
  link: Link<Out>,
  times: Times & Pick<ByCall<unknown>, "unanswered">,
  ask: () => boolean
): Required<Pick<Part<In, Out>, "watch">> => {
  const millisOf = (duration: Duration.Input) => Duration.toMillis(Duration.fromInputUnsafe(duration))
  const interval = millisOf(times.interval ?? "30 seconds")
  const sendInterval = millisOf(times.sendInterval ?? Duration.infinity)
  const timeout = Duration.fromInputUnsafe(times.timeout ?? "10 seconds")
  const unanswered = Duration.fromInputUnsafe(times.unanswered ?? Duration.infinity)
  let waiting: Waiting | undefined
  // When what was written had been taken by the peer, which says as much as that something was heard.
  let takenAt = -Infinity

  const wait = (now: number, sending: number | undefined, isAsked = true): void => {
    const until = now + Duration.toMillis(isAsked ? timeout : unanswered)
    waiting = { waitsFor: isAsked ? "pong" : "response", heardCount: link.heardCount, sending, until }
  }

  /** False where it is given up. */
  const lookAtPeer = (now: number): boolean => {
    if (waiting !== undefined && (!link.isListening || link.heardCount !== waiting.heardCount)) waiting = undefined
    const { sending } = link
    if (waiting !== undefined) {
      if (now < waiting.until) return true
      if (sending === waiting.sending) return false
      if (sending !== undefined) wait(now, sending)
      else {
        waiting = undefined
        takenAt = now
      }
    }
    if (waiting === undefined && link.isListening && now >= Math.max(link.heardAt, takenAt) + interval) {
      // Behind what waits it would not get out. That it is being sent itself is no sign of the peer.
      wait(now, sending, sending !== undefined || ask())
    }
    return true
  }

  return {
    watch: (now) => {
      if (link.hasEnded) return Infinity
      if (!lookAtPeer(now)) {
        const waitedFor = waiting?.waitsFor ?? "pong"
        const reason = new TimedOut({ waitedFor, after: waitedFor === "pong" ? timeout : unanswered })
        link.giveUp(new TransportError({ reason }), true)
        return Infinity
      }
      // What waits for the peer is being sent.
      if (link.sending === undefined && now >= link.wroteAt + sendInterval) {
        ask()
        if (waiting === undefined && link.isListening) wait(now, undefined)
      }
      const heard = link.isListening ? Math.max(link.heardAt, takenAt) : now
      const sent = link.sending === undefined ? Math.max(link.wroteAt, now + 1 - sendInterval) : now
      // Whoever could not be asked may have answered meanwhile, and nobody tells of that.
      const due = waiting?.waitsFor === "response" ? Math.min(waiting.until, now + interval) : waiting?.until
      return Math.min(due ?? heard + interval, sent + sendInterval)
    }
  }
}
