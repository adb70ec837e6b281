/**
 * What can go wrong on a live connection.
 *
 * A `TransportError` says that frames could not be received or sent; its `reason` says why. During a handshake it
 * becomes a `HandshakeError` that also names the step.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { type Fault, FrameTooLarge, MalformedFrame } from "./Codec.ts"

/**
 * The connection ended between two frames, and something was still expected of it.
 *
 * **Details**
 *
 * `by` is who ended it: `peer`, or `local` where this side has closed it or takes no further requests.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionClosed extends Schema.TaggedError<ConnectionClosed>()("ConnectionClosed", {
  by: Schema.Literals(["peer", "local"])
}) {
  override get message(): string {
    return this.by === "peer" ? "the peer closed the connection" : "the connection was closed on this side"
  }
  /** Whose mistake it is. */
  get fault(): Fault {
    return this.by
  }
}

/**
 * The connection ended in the middle of a frame.
 *
 * **Details**
 *
 * `unread` is how many bytes of the frame had arrived, and `excerpt` shows how they begin.
 *
 * @category errors
 * @since 0.1.0
 */
export class Truncated extends Schema.TaggedError<Truncated>()("Truncated", {
  unread: Schema.Number,
  excerpt: Schema.String
}) {
  override get message(): string {
    return `the connection ended in the middle of a frame, after ${this.excerpt}`
  }
  /** Whose mistake it is. */
  get fault(): Fault {
    return "peer"
  }
}

/**
 * The connection could not be opened, or broke: refused, unreachable, reset, written to after its end.
 *
 * **Details**
 *
 * `detail` says what happened in the words of the operating system; without it, it is found in the `cause`.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionFailed extends Schema.TaggedError<ConnectionFailed>()("ConnectionFailed", {
  operation: Schema.Literals(["open", "read", "write"]),
  detail: Schema.optionalKey(Schema.String),
  cause: Schema.Defect()
}) {
  /** What was done and what came of it. The cause does not survive an encoding; what it says does. */
  static from(operation: "open" | "read" | "write", cause: unknown): ConnectionFailed {
    return new ConnectionFailed({ operation, detail: rootMessage(cause), cause })
  }
  override get message(): string {
    const what = { open: "opened", read: "read from", write: "written to" }[this.operation]
    return `the connection could not be ${what}: ${this.detail ?? rootMessage(this.cause)}`
  }
  /** Whose mistake it is. */
  get fault(): Fault {
    return "network"
  }
}

/**
 * The peer sent a frame where none was due, such as an answer to no request.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnexpectedFrame extends Schema.TaggedError<UnexpectedFrame>()("UnexpectedFrame", {
  expected: Schema.String,
  excerpt: Schema.String
}) {
  override get message(): string {
    return `the peer sent ${this.excerpt}, where ${this.expected} was due`
  }
  /** Whose mistake it is. */
  get fault(): Fault {
    return "peer"
  }
}

/**
 * The peer has kept silent for so long that this side has given the connection up.
 *
 * **Details**
 *
 * `waitedFor` is what did not come: the `pong` to a ping, or any `frame` on a connection that was idle.
 *
 * @category errors
 * @since 0.1.0
 */
export class TimedOut extends Schema.TaggedError<TimedOut>()("TimedOut", {
  waitedFor: Schema.Literals(["pong", "frame"]),
  after: Schema.Duration
}) {
  override get message(): string {
    return this.waitedFor === "pong"
      ? `the peer did not answer a ping within ${Duration.format(this.after)}`
      : `the connection was idle for ${Duration.format(this.after)}`
  }
  /** Whose mistake it is. */
  get fault(): Fault {
    return this.waitedFor === "pong" ? "network" : "peer"
  }
}

/**
 * The reasons of a `TransportError`.
 *
 * @category errors
 * @since 0.1.0
 */
export const Reason = Schema.Union([
  ConnectionClosed,
  Truncated,
  ConnectionFailed,
  FrameTooLarge,
  MalformedFrame,
  UnexpectedFrame,
  TimedOut
])

/**
 * The reasons of a `TransportError`.
 *
 * @category errors
 * @since 0.1.0
 */
export type Reason = typeof Reason.Type

/**
 * Frames could not be received from, or sent over, a connection.
 *
 * **Example** (An ordinary end is one of the reasons)
 *
 * ```ts
 * import { TransportError } from "effect-handshake"
 * import { Effect } from "effect"
 *
 * const program = Effect.fail(
 *   new TransportError.TransportError({ reason: new TransportError.ConnectionClosed({ by: "peer" }) })
 * ).pipe(
 *   Effect.catchReason("TransportError", "ConnectionClosed", ({ by }) => Effect.succeed(`closed by the ${by}`))
 * )
 *
 * console.log(await Effect.runPromise(program)) // => closed by the peer
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export class TransportError extends Schema.TaggedError<TransportError>()("TransportError", { reason: Reason }) {
  override get message(): string {
    return this.reason.message
  }
  /** Whose mistake it is: `"peer"`, `"local"` or `"network"`. */
  get fault(): Fault {
    return this.reason.fault
  }
}

/**
 * Whether a value is a `TransportError`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isTransportError = (u: unknown): u is TransportError => u instanceof TransportError

// Effect's SocketError carries a reason that carries Node's error, and only the innermost one says what happened.
const rootMessage = (cause: unknown): string => {
  let current = cause
  for (let depth = 0; depth < 8 && current instanceof Error; depth++) {
    const inner: unknown = "reason" in current ? current.reason : current.cause
    if (!(inner instanceof Error)) {
      // `connect` to a name with several addresses fails with an AggregateError that has no message of its own.
      if (current instanceof AggregateError && current.message === "") {
        return current.errors.map((error) => error instanceof Error ? error.message : String(error)).join(", ")
      }
      return current.message
    }
    current = inner
  }
  return String(current)
}
