/**
 * What can go wrong on a live connection.
 *
 * A `TransportError` says that frames could not be received or sent; its `reason` says why. During a handshake it
 * becomes a `HandshakeError` that also names the step.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { Fault, FrameTooLarge, MalformedFrame } from "./Codec.ts"

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
 * `detail` says what happened in the words of the operating system; where there is none, look into the `cause`.
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
 * The peer has kept silent for so long that this side has given up: the connection, or a call alone.
 *
 * **Details**
 *
 * `waitedFor` is what did not come: the `pong` to a ping, the `acknowledgement` of something that was sent, any `frame`
 * on a connection that was idle, the `room` for what is written to it, or the `response` to a call, which leaves the
 * connection as it is. It is the `handling` of a frame that nobody asked for where this side itself was too slow.
 *
 * @category errors
 * @since 0.1.0
 */
export class TimedOut extends Schema.TaggedError<TimedOut>()("TimedOut", {
  waitedFor: Schema.Literals(["pong", "acknowledgement", "frame", "response", "room", "handling"]),
  after: Schema.Duration
}) {
  override get message(): string {
    switch (this.waitedFor) {
      case "pong":
        return `the peer did not answer a ping within ${Duration.format(this.after)}`
      case "acknowledgement":
        return `the peer did not acknowledge within ${Duration.format(this.after)}`
      case "frame":
        return `the connection was idle for ${Duration.format(this.after)}`
      case "room":
        return `the peer did not take what was written within ${Duration.format(this.after)}`
      case "response":
        return `the peer did not answer a call within ${Duration.format(this.after)}`
      case "handling":
        return `a frame that nobody asked for was not handled within ${Duration.format(this.after)}`
    }
  }
  /** Whose mistake it is. */
  get fault(): Fault {
    if (this.waitedFor === "handling") return "local"
    return this.waitedFor === "pong" ? "network" : "peer"
  }
}

/**
 * The peer sent more than was due before the connection changes its keys, or its codec.
 *
 * **Details**
 *
 * What came in clear must never be taken for what came encrypted (CVE-2011-0411, CVE-2021-23222), so the connection is
 * not used any further. `bytes` is how many there were, and `excerpt` shows how they begin.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnreadBytes extends Schema.TaggedError<UnreadBytes>()("UnreadBytes", {
  bytes: Schema.Number,
  excerpt: Schema.String
}) {
  override get message(): string {
    return `${this.bytes} bytes came before they were due: ${this.excerpt}`
  }
  /** Whose mistake it is. */
  get fault(): Fault {
    return "peer"
  }
}

/**
 * What can be wrong with TLS.
 *
 * **Details**
 *
 * - The peer's certificate, `fault` with the peer; told by the peer about that of this side, with this side: `expired`,
 *   `not-yet-valid`, `unknown-authority`, `self-signed`, `wrong-name`, `revoked`, `bad-certificate`.
 * - A client's certificate: `certificate-required`, where there is none, and `certificate-refused`.
 * - Nothing in common: `no-shared-version`, `no-shared-cipher`, `no-shared-alpn`.
 * - `unknown-name`: the server has no certificate for the name that was asked for.
 * - `not-tls`: the peer speaks something else.
 * - `cut`: the peer ended the connection before TLS was there.
 * - `bad-record`: what came makes no sense: it was altered on its way, or sent by a peer that has the wrong keys or is broken.
 * - `unsupported`: the socket has no TLS to switch to.
 * - `bad-configuration`: this side's own certificate, key, authorities, names or ciphers cannot be used.
 * - `protocol`: anything else; `detail` has the words of OpenSSL, or those of the peer.
 *
 * @category errors
 * @since 0.1.0
 */
export const TlsFailureKind = Schema.Literals([
  "expired",
  "not-yet-valid",
  "unknown-authority",
  "self-signed",
  "wrong-name",
  "revoked",
  "bad-certificate",
  "certificate-required",
  "certificate-refused",
  "no-shared-version",
  "no-shared-cipher",
  "no-shared-alpn",
  "unknown-name",
  "not-tls",
  "cut",
  "bad-record",
  "unsupported",
  "bad-configuration",
  "protocol"
])

/**
 * What can be wrong with TLS.
 *
 * @category errors
 * @since 0.1.0
 */
export type TlsFailureKind = typeof TlsFailureKind.Type

/**
 * TLS did not come about, or broke. `kind` says what was wrong, `fault` with whom.
 *
 * **Gotchas**
 *
 * With TLS 1.3 a client is done before the server has looked at its certificate: if the server refuses it, it may be
 * the client's next step that fails.
 *
 * @category errors
 * @since 0.1.0
 */
export class TlsFailure extends Schema.TaggedError<TlsFailure>()("TlsFailure", {
  kind: TlsFailureKind,
  detail: Schema.String,
  fault: Fault
}) {
  override get message(): string {
    return `TLS failed (${this.kind}): ${this.detail}`
  }
}

/**
 * A client that connects again, or one of many connections, has no connection for a call.
 *
 * **Details**
 *
 * `why` is one of
 *
 * - `waited`: none came for as long as the call was willing to wait,
 * - `full`: as many calls as may wait for a connection are waiting already,
 * - `failed`: a pool has tried to make one for it, and that has failed,
 * - `stopped`: none will come, because the last failure cannot be mended by another try.
 *
 * `detail` says it in words, and `cause` is what the last try has failed with.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {
  why: Schema.Literals(["waited", "full", "failed", "stopped"]),
  detail: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    const last = this.cause instanceof Error ? `: ${this.cause.message}` : ""
    return `there is no connection, and ${this.detail}${last}`
  }
  /** Whose mistake it is. */
  get fault(): Fault {
    return this.why === "full" ? "local" : "network"
  }
}

/**
 * Whether the request of a call that has failed went out: `no`, or `perhaps`, so that the peer may have done what it asks for.
 *
 * @category errors
 * @since 0.1.0
 */
export const Sent = Schema.Literals(["no", "perhaps"])

/**
 * Whether the request of a call that has failed went out.
 *
 * @category errors
 * @since 0.1.0
 */
export type Sent = typeof Sent.Type

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
  TimedOut,
  UnreadBytes,
  TlsFailure,
  Unavailable
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
 * **Details**
 *
 * Where it is the failure of a call, `sent` says whether the request went out: a call that was not sent can be made
 * again, and one that perhaps was sent only where it does no harm when it is done twice.
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
export class TransportError extends Schema.TaggedError<TransportError>()("TransportError", {
  reason: Reason,
  sent: Schema.optionalKey(Sent)
}) {
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
