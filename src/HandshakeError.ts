/**
 * Why a handshake did not end with a transport: in which protocol, at which step, for what reason, and whose fault.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Fault, FrameTooLarge, MalformedFrame } from "./Codec.ts"
import { ConnectionFailed, TlsFailure, type TransportError, UnreadBytes } from "./TransportError.ts"

export {
  /**
   * A message of the handshake is longer than its codec or the handshake's byte limit allows.
   *
   * @category reasons
   * @since 0.1.0
   */
  FrameTooLarge,
  /**
   * Bytes that are no message of the protocol, or a message that cannot be put into bytes.
   *
   * @category reasons
   * @since 0.1.0
   */
  MalformedFrame
} from "./Codec.ts"

export {
  /**
   * The connection could not be opened, or broke.
   *
   * @category reasons
   * @since 0.1.0
   */
  ConnectionFailed,
  /**
   * TLS did not come about, or broke.
   *
   * @category reasons
   * @since 0.1.0
   */
  TlsFailure,
  /**
   * The peer sent more than was due before the connection changes its keys, or its codec.
   *
   * @category reasons
   * @since 0.1.0
   */
  UnreadBytes
} from "./TransportError.ts"

/**
 * The peer said something else than what was due at this step. Both texts are printable excerpts.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidGreeting extends Schema.TaggedError<InvalidGreeting>()("InvalidGreeting", {
  expected: Schema.String,
  received: Schema.String
}) {
  override get message(): string {
    return `expected ${this.expected}, received ${this.received}`
  }
  /** Whose mistake it is. */
  get fault(): Fault {
    return "peer"
  }
}

/**
 * One side said no, in the words of the protocol: it has no room, or does not want this peer.
 *
 * **Details**
 *
 * `by` is who said no, `said` are the words, and `code` is the protocol's own code where it has one. `retryable` says
 * whether another try, later or elsewhere, can do better: it has to be given here, and is true by default where `rejections` of a step or
 * `Dialogue.refused()` make the reason. `retryAfter` says not before when. `fields` are those of the message that
 * said no, where a `Dialogue` knows them. `cause` is what has gone wrong on
 * this side, where that is why it says no: the peer does not hear it, and a server logs it as a warning.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Rejected extends Schema.TaggedError<Rejected>()("Rejected", {
  by: Schema.Literals(["peer", "local"]),
  said: Schema.String,
  code: Schema.optionalKey(Schema.String),
  retryable: Schema.Boolean,
  retryAfter: Schema.optionalKey(Schema.Duration),
  fields: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown)),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    const code = this.code === undefined ? "" : ` (${this.code})`
    const again = !this.retryable
      ? ""
      : this.retryAfter === undefined
      ? "; try again later or elsewhere"
      : `; try again after ${Duration.format(this.retryAfter)}`
    return `rejected by ${this.by === "peer" ? "the peer" : "this side"}: ${this.said}${code}${again}`
  }
  /** Whose mistake it is. */
  get fault(): Fault {
    return this.by
  }
}

/**
 * The handshake was not done by its deadline.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Timeout extends Schema.TaggedError<Timeout>()("Timeout", { deadline: Schema.Duration }) {
  override get message(): string {
    return `not done within ${Duration.format(this.deadline)}`
  }
  /** Whose mistake it is. */
  get fault(): Fault {
    return "peer"
  }
}

/**
 * The peer ended the connection before the handshake was done. `excerpt` shows what it had begun to say; it is empty
 * where the peer ended between two messages.
 *
 * @category reasons
 * @since 0.1.0
 */
export class UnexpectedEnd extends Schema.TaggedError<UnexpectedEnd>()("UnexpectedEnd", { excerpt: Schema.String }) {
  override get message(): string {
    return this.excerpt === ""
      ? "the peer ended the connection"
      : `the peer ended the connection in the middle of a message, after ${this.excerpt}`
  }
  /** Whose mistake it is. */
  get fault(): Fault {
    return "peer"
  }
}

/**
 * One side could not prove who it is. It never says which of name and secret was wrong.
 *
 * @category reasons
 * @since 0.1.0
 */
export class AuthenticationFailed extends Schema.TaggedError<AuthenticationFailed>()("AuthenticationFailed", {
  method: Schema.String,
  detail: Schema.String,
  fault: Fault
}) {
  override get message(): string {
    return `authentication (${this.method}) failed: ${this.detail}`
  }
}

/**
 * The two sides have no version of the protocol in common. `fault` is the side that has offered the version; `peer`
 * unless it is given.
 *
 * @category reasons
 * @since 0.1.0
 */
export class UnsupportedVersion extends Schema.TaggedError<UnsupportedVersion>()("UnsupportedVersion", {
  offered: Schema.String,
  supported: Schema.Array(Schema.String),
  fault: Fault.pipe(Schema.withConstructorDefault(Effect.succeed("peer" as const)))
}) {
  override get message(): string {
    return `version ${this.offered} is not supported; supported: ${this.supported.join(", ")}`
  }
}

/**
 * The reasons of a `HandshakeError`.
 *
 * @category reasons
 * @since 0.1.0
 */
export const Reason = Schema.Union([
  InvalidGreeting,
  Rejected,
  Timeout,
  UnexpectedEnd,
  FrameTooLarge,
  MalformedFrame,
  UnreadBytes,
  TlsFailure,
  AuthenticationFailed,
  UnsupportedVersion,
  ConnectionFailed
])

/**
 * The reasons of a `HandshakeError`.
 *
 * @category reasons
 * @since 0.1.0
 */
export type Reason = typeof Reason.Type

/**
 * Whether a value is one of the reasons of a `HandshakeError`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isReason: (u: unknown) => u is Reason = Schema.is(Reason)

/**
 * A handshake did not end with a transport.
 *
 * **Details**
 *
 * `protocol` is the name that `Handshake.named` gave, `step` the step that was under way, and `reason` says what
 * happened. `fault` is whose mistake it is, and `retryable` whether another try can do better.
 *
 * **Example** (Handle a rejection by its type)
 *
 * ```ts
 * import { Codec, Handshake, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const client = Transport.framed(Codec.lines()).pipe(
 *   Handshake.send("You ready?"),
 *   Handshake.expect("Bring it!", { rejections: ["No! Go away!"] }),
 *   Handshake.named("line")
 * )
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const peer = yield* Transport.framed(Codec.lines()).pipe(Effect.provideService(Socket.Socket, there))
 *   yield* peer.send("No! Go away!")
 *   yield* client.pipe(Effect.provideService(Socket.Socket, here))
 *   return "accepted"
 * }).pipe(
 *   Effect.catchReason("HandshakeError", "Rejected", (reason) => Effect.succeed(`turned away: ${reason.said}`))
 * )
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => turned away: "No! Go away!"
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export class HandshakeError extends Schema.TaggedError<HandshakeError>()("HandshakeError", {
  protocol: Schema.String,
  step: Schema.String,
  reason: Reason
}) {
  override get message(): string {
    return `${this.protocol} handshake failed at step ${this.step}: ${this.reason.message}`
  }
  /** Whose mistake it is: `"peer"`, `"local"` or `"network"`. */
  get fault(): Fault {
    return this.reason.fault
  }
  /** Whether another try, later or elsewhere, can do better. */
  get retryable(): boolean {
    switch (this.reason._tag) {
      case "Rejected":
        return this.reason.retryable
      case "ConnectionFailed":
      case "Timeout":
      case "UnexpectedEnd":
        return true
      case "TlsFailure":
        return this.reason.kind === "cut"
      default:
        return false
    }
  }
}

/**
 * Whether a value is a `HandshakeError`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isHandshakeError = (u: unknown): u is HandshakeError => u instanceof HandshakeError

/**
 * What a `TransportError` means while a handshake is under way.
 *
 * @category conversions
 * @since 0.1.0
 */
export const reasonOf = (error: TransportError): Reason => {
  const reason = error.reason
  switch (reason._tag) {
    case "ConnectionClosed":
      return reason.by === "peer"
        ? new UnexpectedEnd({ excerpt: "" })
        : ConnectionFailed.from("read", reason)
    case "Truncated":
      return new UnexpectedEnd({ excerpt: reason.excerpt })
    case "UnexpectedFrame":
      return new InvalidGreeting({ expected: reason.expected, received: reason.excerpt })
    case "Unavailable":
      return ConnectionFailed.from("open", reason)
    case "TimedOut":
      return ConnectionFailed.from(reason.waitedFor === "room" ? "write" : "read", reason)
    default:
      return reason
  }
}
