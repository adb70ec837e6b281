/**
 * What the laws of a handshake are told of it.
 *
 * @internal
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type * as Transport from "../../../Transport.ts"
import type * as Rung from "../../Rung.ts"
import type * as ScriptedPeer from "../../ScriptedPeer.ts"
import type { Peer, Role } from "../conversation.ts"
import type * as Suite from "../suite.ts"

export type Any = Transport.Transport.Any

/**
 * A message that was said at the wrong time, for `accepts` to say that it may be said there after all.
 */
export interface WrongTurn {
  /** Which side has heard it. */
  readonly side: Role
  /** The number of the message in whose place it came, from 0. */
  readonly index: number
  /** What was said there. */
  readonly said: Uint8Array
  /** What was due. */
  readonly due: Uint8Array
  /** All that is due, message by message. */
  readonly messages: ReadonlyArray<Uint8Array>
}

type Text = string | Uint8Array

export interface Options<S extends Any, C extends Any> extends Suite.CheckOptions {
  /** What it is called in the names of the tests and in violations. */
  readonly name: string
  readonly server?: Effect.Effect<S, unknown, Socket.Socket | Scope.Scope> | undefined
  readonly client?: Effect.Effect<C, unknown, Socket.Socket | Scope.Scope> | undefined
  /** Plays the side that is not given: a script, or whatever speaks over a `Socket`. */
  readonly peer?: Peer | ScriptedPeer.Script | undefined
  /** Registers one test for each law: `it` of Vitest or of `@effect/vitest`, `test` of `node:test`. */
  readonly it?: Suite.Register | undefined
  /** What it is tried on. Default: `Rung.pure`, `Rung.memory` and `Rung.simulated()`. */
  readonly rungs?: ReadonlyArray<Rung.Rung> | undefined
  /**
   * The time within which the handshake promises to be done, by a deadline of its own. Default: none; the laws set one, as
   * `Server` and `Client` do.
   */
  readonly deadline?: Duration.Input | undefined
  /** How many bytes of one message it may take before it refuses it. Default: 128 KiB. */
  readonly maxBytes?: number | undefined
  /** What must never show, as it is sent or as it is known. Without any, law 9 has nothing to look for and is skipped. */
  readonly secrets?: ReadonlyArray<Text | Redacted.Redacted<string>> | undefined
  /** Further messages that are wrong wherever they come, as bytes: said to the server, or to the client. */
  readonly wrong?:
    | { readonly server?: ReadonlyArray<Text> | undefined; readonly client?: ReadonlyArray<Text> | undefined }
    | undefined
  /** Whether a message may stand in the place of another after all. Default: none may. */
  readonly accepts?: ((turn: WrongTurn) => boolean) | undefined
  /** The last word of a side to whoever says something wrong, as bytes; one of these, where it has several. */
  readonly refusal?: {
    readonly server?: Text | ReadonlyArray<Text> | undefined
    readonly client?: Text | ReadonlyArray<Text> | undefined
  } | undefined
  /**
   * Whether a client may be ready before it hears that there is no room, because its protocol lets a server say so behind the
   * handshake, as HTTP/2 does. Default: false.
   */
  readonly lateRefusal?: boolean | undefined
  /**
   * Which side makes something fresh for each connection, such as a nonce, so that it must not accept what was said on
   * another one. Default: none.
   */
  readonly fresh?: { readonly server?: boolean | undefined; readonly client?: boolean | undefined } | undefined
  /** What each side has learned in the handshake: a value, or an Effect of one. Both must be equal. */
  readonly negotiated?:
    | {
      readonly server: (transport: S) => unknown
      readonly client: (transport: C) => unknown
    }
    | undefined
  /** What is called behind the handshake: each call must get the answer to its own request. */
  readonly calls?:
    | {
      readonly serve: (transport: S) => Effect.Effect<unknown, unknown>
      readonly requests: ReadonlyArray<Transport.Transport.Out<C>>
      readonly respond: (request: Transport.Transport.Out<C>) => Transport.Transport.In<C>
    }
    | undefined
  /** How much of something of yours handshakes hold now, such as permits. Law 7 looks whether it is given back. */
  readonly held?: Effect.Effect<number> | undefined
  /** Runs before each conversation: for a server that remembers something, such as how often somebody has failed. */
  readonly reset?: Effect.Effect<void> | undefined
  /** What to wait for, in real time, before a handshake is taken to be waiting for its peer. Default: one turn. */
  readonly breathe?: Effect.Effect<void> | undefined
}

export type AnyOptions = Options<any, any>

const encoder = new TextEncoder()

export const bytesOf = (text: Text): Uint8Array => typeof text === "string" ? encoder.encode(text) : text

/** What one side has learned in the handshake. */
export const negotiatedBy = (options: AnyOptions, role: Role, transport: Any): Effect.Effect<unknown, unknown> =>
  Effect.suspend(() => {
    const value: unknown = options.negotiated?.[role](transport)
    // An Effect that is given here needs nothing, which `unknown` cannot say.
    return Effect.isEffect(value) ? value as Effect.Effect<unknown, unknown> : Effect.succeed(value)
  })
