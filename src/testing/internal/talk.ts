/**
 * What is planned for a conversation of a handshake that is under test, and what was seen of it.
 *
 * @internal
 */
import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type * as Transcript from "../../Transcript.ts"
import type * as Transport from "../../Transport.ts"

export type Role = "client" | "server"

export const otherRole = (role: Role): Role => role === "client" ? "server" : "client"

export type Handshake = Effect.Effect<Transport.Transport.Any, unknown, Socket.Socket | Scope.Scope>

/** Whatever speaks with the side under test: its peer's handshake, or a script. */
export type Peer = Effect.Effect<unknown, unknown, Socket.Socket | Scope.Scope>

/** What one side does when it is ready. */
export type Behind = (transport: Transport.Transport.Any) => Effect.Effect<unknown, unknown, Scope.Scope>

export interface Side {
  readonly role: Role
  readonly handshake: Handshake
  /** The deadline that a server sets for it, on the fast way. Default: none. */
  readonly deadline?: Duration.Duration | undefined
}

export interface Plan {
  /** Of what the rung leaves to chance, and of what Effect's `Random` gives to the two sides. */
  readonly seed?: number | undefined
  readonly random?: number | undefined
  /** What is said in the place of the peer's n-th message; all of it travels together. Default: the message. */
  readonly say?: ((index: number, message: Uint8Array) => Uint8Array) | undefined
  /** What the peer says in the place of its n-th frame, through its own codec. */
  readonly alters?: { readonly index: number; readonly apply: (frame: unknown) => unknown } | undefined
  /** Who speaks with the side under test. Default: its peer. */
  readonly peer?: Peer | undefined
  /** What the side under test runs. Default: its handshake. */
  readonly handshake?: Handshake | undefined
  /** What is said, all of it at once, without regard to what the side under test says. There is no peer then. */
  readonly script?: Uint8Array | undefined
  /** How many bytes each segment has, over and over; default: each message is one. */
  readonly lengths?: ReadonlyArray<number> | undefined
  /** What happens when so many bytes were said. */
  readonly stop?: Stop | undefined
  /** Milliseconds before each segment, once so many bytes were said. */
  readonly pace?: { readonly millis: number; readonly from?: number | undefined } | undefined
  /** Milliseconds before each message. */
  readonly pause?: number | undefined
  /** Milliseconds before the n-th one. */
  readonly wait?: ((index: number) => number) | undefined
  /** Milliseconds before the first one: so late the peer comes. */
  readonly delay?: number | undefined
  /** Milliseconds for which the peer does not listen. */
  readonly deaf?: number | undefined
  /** Whether the peer stops to speak when the handshake has failed. Default: it talks on. */
  readonly hushes?: boolean | undefined
  /** Nobody answers when the side under test dials: it is refused, or waits; and waits until it is interrupted. */
  readonly dial?: "refuse" | "hang" | "interrupt" | undefined
  /** What the side under test does when it is ready. Default: reads what comes, to the end. */
  readonly behind?: Behind | undefined
  /** What its peer does when it is ready. Default: nothing. */
  readonly peerBehind?: Behind | undefined
  /** Milliseconds that pass when all is said, and what is said then, before the connection is ended. */
  readonly later?: { readonly after: number; readonly say: Uint8Array } | undefined
  /** Whether it is counted what decoders do. Default: only where the side is watched anyway. */
  readonly counts?: boolean | undefined
}

export interface Stop {
  readonly after: number
  readonly how: "end" | "reset" | "stall" | "interrupt"
}

/** What was seen of a conversation. Times are in milliseconds from its beginning. */
export interface Talk {
  /** How the handshake has ended; undefined where it has not, though it had all the time in the world. */
  readonly exit: Exit.Exit<unknown, unknown> | undefined
  readonly endedAt: number
  /** When the plan's stop came, and at which step; undefined where it did not come to that. */
  readonly stoppedAt: number | undefined
  readonly stoppedIn: string | undefined
  /** Whether the side under test was done with its connection in the end, and when. */
  readonly isOver: boolean
  readonly overAt: number
  /** For how long it went on when its handshake and its connection had ended, or it was interrupted; for ever where it does still. */
  readonly lingered: number
  /** The opening of the connection and the steps that it came to behind that, and the last of them. */
  readonly steps: ReadonlyArray<string>
  readonly step: string
  /** Whether the last of them keeps what it refuses to itself, for it may be a secret that comes too early. */
  readonly isGuarded: boolean
  /** Where it was when each message was said to it, and where it took each frame, with all bytes up to its end. */
  readonly toldIn: ReadonlyArray<string>
  readonly receivedIn: ReadonlyArray<{ readonly step: string; readonly end: number }>
  /** How many bytes it had been given when its handshake ended. */
  readonly pulled: number
  /** With how many of them it had asked for more. */
  readonly asked: number
  /** How many its decoders had looked at by then. */
  readonly examined: number
  /** How many milliseconds of CPU time this thread has worked meanwhile: no turn of it has taken more. 0 where nobody tells. */
  readonly worked: number
  /** How often it has opened and released its connection. */
  readonly opened: number
  readonly released: number
  /** How many of the fibers that it has started have not ended, when it was over. */
  readonly fibers: number
  /** What it has written, write by write, and how many of those it had made when the peer's n-th message was said. */
  readonly written: ReadonlyArray<Uint8Array>
  readonly writesBefore: ReadonlyArray<number>
  /** What came behind the handshake, and how that ended; undefined where the handshake did not succeed. */
  readonly rest: Uint8Array | undefined
  readonly restEnd: Cause.Cause<unknown> | undefined
  /** How the plan's `behind` has ended. */
  readonly behind: Exit.Exit<unknown, unknown> | undefined
  /** What the peer has said, message by message, before anything was done to it. */
  readonly messages: ReadonlyArray<Uint8Array>
  /** What was said in the place of each of them, as far as it was said. */
  readonly said: ReadonlyArray<Uint8Array>
  /** The peer's frames, as it has given them to its codec, and which of them it hides. */
  readonly frames: ReadonlyArray<unknown>
  readonly hidden: ReadonlyArray<boolean>
  /** What the plan has altered, as it would have been said; undefined where it has altered nothing. */
  readonly altered: Uint8Array | undefined
  /** Whether all that the peer has said was told before the plan's stop. */
  readonly isAllTold: boolean
  /** What the peer has heard, and whether it has heard the end. */
  readonly heard: Uint8Array
  readonly isEndHeard: boolean
  /** How the peer's handshake has ended, and the plan's `peerBehind`. */
  readonly peerExit: Exit.Exit<unknown, unknown> | undefined
  readonly peerBehind: Exit.Exit<unknown, unknown> | undefined
  readonly transcript: Transcript.Transcript
}
