/**
 * What the laws of a handshake are told of it.
 *
 * @internal
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type * as Transport from "../../../Transport.ts"
import type * as Rung from "../../Rung.ts"
import type * as ScriptedPeer from "../../ScriptedPeer.ts"
import * as Suite from "../suite.ts"
import type { Peer, Role } from "../talk.ts"

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

export type Text = string | Uint8Array

/**
 * The last word of a side to whoever says something wrong: one of these, where it has several, and none where that depends on
 * what was said and it says nothing to that.
 */
export type Refusal =
  | Text
  | ReadonlyArray<Text>
  | ((turn: WrongTurn) => Text | ReadonlyArray<Text> | undefined)

/** A valid conversation that differs from the one that was given. */
export interface Alternative<S extends Any = Any, C extends Any = Any> {
  /** What it is called in violations. Default: its number. */
  readonly name?: string | undefined
  /** The server's side. Give this, `client`, or both. */
  readonly server?: Effect.Effect<S, unknown, Socket.Socket | Scope.Scope> | undefined
  /** The client's side. */
  readonly client?: Effect.Effect<C, unknown, Socket.Socket | Scope.Scope> | undefined
  /** What both sides have negotiated in it, where that can be said. */
  readonly value?: unknown
}

/** What is held of a failure: the tag of its reason, whose fault it is, whether it is worth another try. */
export interface Failure {
  readonly reason?: string | undefined
  readonly fault?: "peer" | "local" | "network" | undefined
  readonly retryable?: boolean | undefined
}

/** A whole handshake that must not get through, and what it is called in violations. */
export interface Impostor {
  /** Default: its number. */
  readonly name?: string | undefined
  readonly handshake: Peer
}

export interface Options<S extends Any, C extends Any> extends Suite.CheckOptions {
  /** What it is called in the names of the tests and in violations. */
  readonly name: string
  /** The server's side. Give this, `client`, or both. */
  readonly server?: Effect.Effect<S, unknown, Socket.Socket | Scope.Scope> | undefined
  /** The client's side. */
  readonly client?: Effect.Effect<C, unknown, Socket.Socket | Scope.Scope> | undefined
  /** Plays the side that is not given: a script, or whatever speaks over a `Socket`. */
  readonly peer?: Peer | ScriptedPeer.Script | undefined
  /** Registers one test for each law: `it` of Vitest or of `@effect/vitest`, `test` of `node:test`. */
  readonly it?: Suite.Register | undefined
  /** What it is tried on. Default: `Rung.pure`, `Rung.memory` and `Rung.simulated()`. */
  readonly rungs?: ReadonlyArray<Rung.Rung> | undefined
  /**
   * The time within which the handshake promises to be done, by a deadline of its own. Default: none; the laws set one, as
   * `Server` and `Client` do. Where the sides differ, one for each.
   */
  readonly deadline?:
    | Duration.Input
    | { readonly server?: Duration.Input; readonly client?: Duration.Input }
    | undefined
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
  /**
   * The last word of a side to whoever says something wrong, as bytes; one of these, where it has several. Where it depends on
   * what was said, a function of that: `undefined` is silence. Nothing else is said with it.
   * The other side is held to it, too: it must not take it for anything else.
   */
  readonly refusal?: { readonly server?: Refusal | undefined; readonly client?: Refusal | undefined } | undefined
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
  /**
   * What each side has learned in the handshake: a value, or an Effect of one. Both must be equal, and equal to `value` where
   * that is given.
   */
  readonly negotiated?:
    | {
      readonly server: (transport: S) => unknown
      readonly client: (transport: C) => unknown
      readonly value?: unknown
    }
    | undefined
  /**
   * Whole handshakes of one side that the other must not let through: with a wrong key, a wrong version, without a proof.
   * Those of `client` are tried on the server. With a name, violations call it by that.
   */
  readonly impostors?: {
    readonly client?: ReadonlyArray<Peer | Impostor> | undefined
    readonly server?: ReadonlyArray<Peer | Impostor> | undefined
  } | undefined
  /**
   * Further conversations that are valid: another user, another version, other options. A side that is left out is the one
   * that was given.
   */
  readonly alternatives?: ReadonlyArray<Alternative<S, C>> | undefined
  /** How a side fails when it hears something wrong, as far as it can be said; `undefined` where that is not known. */
  readonly failure?: ((turn: WrongTurn) => Failure | undefined) | undefined
  /**
   * Which sides may still hear something of the handshake when they are ready, as HTTP/2's acknowledgement of settings.
   * Default: none. Whatever else a handshake leaves unread would be taken for what is served.
   */
  readonly trailing?: { readonly server?: boolean | undefined; readonly client?: boolean | undefined } | undefined
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

/** What is only heard if it is spelled right, of whoever is not told by a compiler. */
const known: Readonly<Record<keyof AnyOptions, true>> = {
  accepts: true,
  alternatives: true,
  breathe: true,
  calls: true,
  client: true,
  deadline: true,
  failure: true,
  fresh: true,
  held: true,
  impostors: true,
  it: true,
  lateRefusal: true,
  maxBytes: true,
  name: true,
  negotiated: true,
  peer: true,
  refusal: true,
  replay: true,
  reset: true,
  rungs: true,
  runs: true,
  secrets: true,
  seed: true,
  server: true,
  trailing: true,
  wrong: true
}
const sides = { client: true, server: true }
const failures: Readonly<Record<keyof Failure, true>> = { fault: true, reason: true, retryable: true }
export const alternatives: Readonly<Record<keyof Alternative, true>> = {
  client: true,
  name: true,
  server: true,
  value: true
}

const mistakeInFailure = (due: Failure | undefined): TypeError | undefined =>
  due === undefined ? undefined : Suite.mistakeIn("what `failure` of Laws.handshake gives", due, failures)

/** How it has to fail, where that can be said. A mistake in it is a defect. */
export const failureOf = ({ failure }: AnyOptions, turn: WrongTurn): Failure | undefined => {
  const due = failure?.(turn)
  const mistake = mistakeInFailure(due)
  if (mistake !== undefined) throw mistake
  return due
}

/** The same for an empty message, to which it may have nothing to say. */
const failureToNothing = ({ failure }: AnyOptions, side: Role): Failure | undefined => {
  const nothing = new Uint8Array(0)
  try {
    return failure?.({ side, index: 0, said: nothing, due: nothing, messages: [nothing] })
  } catch {
    return undefined
  }
}

/** What is wrong with the options themselves. */
export const mistakeOf = (options: AnyOptions): TypeError | undefined => {
  const found = Suite.mistakeIn("the options of Laws.handshake", options, known)
  if (found !== undefined) return found
  for (const name of ["refusal", "wrong", "impostors", "fresh", "trailing"] as const) {
    const mistake = Suite.mistakeIn(`\`${name}\` of Laws.handshake`, options[name] ?? {}, sides)
    if (mistake !== undefined) return mistake
  }
  for (const alternative of options.alternatives ?? []) {
    const mistake = Suite.mistakeIn("one of `alternatives` of Laws.handshake", alternative, alternatives)
    if (mistake !== undefined) return mistake
  }
  return mistakeInFailure(failureToNothing(options, "server")) ?? mistakeInFailure(failureToNothing(options, "client"))
}

const encoder = new TextEncoder()

export const bytesOf = (text: Text): Uint8Array => typeof text === "string" ? encoder.encode(text) : text

/** What must never show, as bytes. */
export const secretsOf = ({ secrets }: Pick<AnyOptions, "secrets">): ReadonlyArray<Uint8Array> =>
  (secrets ?? []).map((secret) => bytesOf(Redacted.isRedacted(secret) ? Redacted.value(secret) : secret))

/** Another secret that is as long. */
export const decoyOf = (secret: Uint8Array): Uint8Array =>
  Uint8Array.from(secret, (_, i) => "qjzkxwv7".charCodeAt(i % 8))

/** What must never show, and what must not where it comes in its place. */
export const lookedFor = (options: AnyOptions): ReadonlyArray<Uint8Array> => {
  const known = secretsOf(options)
  return [...known, ...known.map(decoyOf)]
}

const list = (words: Text | ReadonlyArray<Text> | undefined): ReadonlyArray<Uint8Array> =>
  words === undefined
    ? []
    : typeof words === "string" || words instanceof Uint8Array
    ? [bytesOf(words)]
    : words.map(bytesOf)

/**
 * What a side has to say to this: one of these words, and nothing where there are none. `undefined` where it is not known.
 */
export const refusalTo = ({ refusal }: AnyOptions, turn: WrongTurn): ReadonlyArray<Uint8Array> | undefined => {
  const words = refusal?.[turn.side]
  return words === undefined ? undefined : list(typeof words === "function" ? words(turn) : words)
}

/** All words with which a side refuses, as far as they are known without trying. */
export const refusalsOf = (
  options: AnyOptions,
  role: Role,
  said: ReadonlyArray<Uint8Array>
): ReadonlyArray<Uint8Array> => {
  const garbage = Uint8Array.of(0xff, 0xfe, 0x0a, 0xff, 0x0a)
  return [garbage, ...said].flatMap((words) =>
    said.flatMap((due, index) => refusalTo(options, { side: role, index, said: words, due, messages: said }) ?? [])
  )
}

/** What one side has learned in the handshake. */
export const negotiatedBy = (options: AnyOptions, role: Role, transport: Any): Effect.Effect<unknown, unknown> =>
  Effect.suspend(() => {
    const value: unknown = options.negotiated?.[role](transport)
    // An Effect that is given here needs nothing, which `unknown` cannot say.
    return Effect.isEffect(value) ? value as Effect.Effect<unknown, unknown> : Effect.succeed(value)
  })
