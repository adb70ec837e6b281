/**
 * A handshake written down once: who may say what, when, for how long and how much.
 *
 * From the same value come both sides, which cannot say anything else, and all that can be known of them without running them.
 *
 * @stability experimental
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Predicate from "effect/Predicate"
import type * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Socket } from "effect/socket/Socket"
import type * as Codec from "./Codec.ts"
import type { Failure } from "./Handshake.ts"
import type * as Handshake from "./Handshake.ts"
import type { HandshakeError, Reason } from "./HandshakeError.ts"
import * as Comparing from "./internal/dialogue/compare.ts"
import type * as CompareModel from "./internal/dialogue/compareModel.ts"
import * as Diagram from "./internal/dialogue/diagram.ts"
import * as Document from "./internal/dialogue/document.ts"
import { roleKey, type Shape } from "./internal/dialogue/fields.ts"
import * as Follow from "./internal/dialogue/follow.ts"
import type * as Model from "./internal/dialogue/model.ts"
import * as Picture from "./internal/dialogue/picture.ts"
import * as Run from "./internal/dialogue/run.ts"
import * as Snapshots from "./internal/dialogue/snapshot.ts"
import * as SnapshotModel from "./internal/dialogue/snapshotModel.ts"
import * as Spec from "./internal/dialogue/spec.ts"
import * as Spoken from "./internal/dialogue/turns.ts"
import type * as Transport from "./Transport.ts"
import type { Wire } from "./Wire.ts"

/** @since 0.1.0 */
export type {
  /**
   * @category models
   * @since 0.1.0
   */
  Encrypted,
  /**
   * @category models
   * @since 0.1.0
   */
  Limits,
  /**
   * @category models
   * @since 0.1.0
   */
  Ready,
  /**
   * @category models
   * @since 0.1.0
   */
  Refused,
  /**
   * @category models
   * @since 0.1.0
   */
  Role,
  /**
   * @category models
   * @since 0.1.0
   */
  State
} from "./internal/dialogue/model.ts"

/** @since 0.1.0 */
export {
  /**
   * @category errors
   * @since 0.1.0
   */
  InvalidSnapshot
} from "./internal/dialogue/snapshotModel.ts"

/** @since 0.1.0 */
export type {
  /**
   * @category snapshots
   * @since 0.1.0
   */
  Snapshot
} from "./internal/dialogue/snapshotModel.ts"

/** @since 0.1.0 */
export type {
  /**
   * @category comparing
   * @since 0.1.0
   */
  Comparison,
  /**
   * @category comparing
   * @since 0.1.0
   */
  Meeting,
  /**
   * @category comparing
   * @since 0.1.0
   */
  Parting
} from "./internal/dialogue/compareModel.ts"

/**
 * A state in which the client speaks.
 *
 * @category states
 * @since 0.1.0
 */
export const client = <const S extends Model.Says>(says: S, limits?: Model.Limits): Model.State<"client", S> => ({
  ...limits,
  turn: "client",
  says
})

/**
 * A state in which the server speaks.
 *
 * @category states
 * @since 0.1.0
 */
export const server = <const S extends Model.Says>(says: S, limits?: Model.Limits): Model.State<"server", S> => ({
  ...limits,
  turn: "server",
  says
})

/**
 * A state in which both sides speak, and neither waits for the other. All that they may say leads to the same place, but for
 * what refuses.
 *
 * @category states
 * @since 0.1.0
 */
export const both = <const S extends Model.Says>(says: S, limits?: Model.Limits): Model.State<"both", S> => ({
  ...limits,
  turn: "both",
  says
})

/**
 * The end of a handshake that is done: what comes behind it is spoken in the `live` codec of the dialogue.
 *
 * @category ends
 * @since 0.1.0
 */
export const ready: Model.Ready = { _tag: "Ready", live: undefined }

/**
 * The end of a handshake that is done, with a codec of its own for what comes behind it.
 *
 * @category ends
 * @since 0.1.0
 */
export const readyWith = <L extends Live>(live: L): Model.Ready<L> => ({ _tag: "Ready", live })

/**
 * The end of a handshake whose speaker does not want the other side, which fails as `Rejected`.
 *
 * @category ends
 * @since 0.1.0
 */
export const refused = (options?: {
  /** Whether another try, later or elsewhere, can do better. Default: true; say `false` for a wrong password. */
  readonly retryable?: boolean | undefined
  /** The code of `Rejected`, where it is always the same. Default: none. */
  readonly code?: string | undefined
  /** The field of the message that has the code. */
  readonly codeField?: string | undefined
  /** The field that says when to come back, a `Duration` or a number of seconds. */
  readonly retryAfterField?: string | undefined
}): Model.Refused => ({
  _tag: "Refused",
  retryable: options?.retryable ?? true,
  code: options?.code,
  codeField: options?.codeField,
  retryAfterField: options?.retryAfterField
})

/**
 * TLS begins behind the message, and then the dialogue goes on in this state.
 *
 * @category ends
 * @since 0.1.0
 */
export const encrypted = <const S extends string>(state: S): Model.Encrypted<S> => ({ _tag: "Encrypted", state })

/**
 * A field that may have any value: the name of whoever greets, the text of a banner.
 *
 * **Details**
 *
 * Every field that is not free must be looked at by the side that receives it: `Laws.dialogue` holds it to that.
 *
 * @category fields
 * @since 0.1.0
 */
export const free = <S extends Schema.Top>(schema: S): S["Rebuild"] => schema.annotate({ [roleKey]: "free" })

/**
 * A field that is made anew for each connection, such as a nonce.
 *
 * @category fields
 * @since 0.1.0
 */
export const fresh = <S extends Schema.Top>(schema: S): S["Rebuild"] => schema.annotate({ [roleKey]: "fresh" })

/**
 * What is spoken behind the handshake: one codec, or one for each side.
 *
 * @category models
 * @since 0.1.0
 */
export type Live =
  | Codec.Codec<any, any>
  | { readonly server: Codec.Codec<any, any>; readonly client: Codec.Codec<any, any> }

type Messages = Readonly<Record<string, Shape>>

type States = Model.States

/** What the types of a dialogue are made of. */
interface Types {
  readonly messages: Messages
  readonly states: States
  readonly live: Live
  readonly start: string
}

/**
 * Something that a dialogue was made of: what the types of its states look into.
 *
 * @category models
 * @since 0.1.0
 */
export interface Of<T> {
  readonly "~dialogue": T
}

type TypesOf<D> = D extends Of<infer T extends Types> ? T : never

type NameOf<T> = T extends string ? T : T extends Model.Encrypted<infer S> ? S : never

/** What is wrong with a specification stands in the place where it is wrong. */
type Checked<M, S extends States> = {
  readonly [N in keyof S]: [Wrong<M, S, S[N]["says"]>] extends [never] ? unknown : Wrong<M, S, S[N]["says"]>
}

type Wrong<M, S, Says> = {
  [K in keyof Says & string]: K extends keyof M
    ? NameOf<Says[K]> extends keyof S ? never : `there is no state ${NameOf<Says[K]>}`
    : `there is no message ${K}`
}[keyof Says & string]

/** What leads on in a state, by its name. Without an alias for its keys the compiler prints the names themselves. */
type Onward<D, N> = {
  readonly [K in keyof SaysIn<D, N> as SaysIn<D, N>[K] extends Model.Refused ? never : K & string]: SaysIn<D, N>[K]
}

/** What says no in a state. */
type Refusing<D, N> = {
  readonly [K in keyof SaysIn<D, N> as SaysIn<D, N>[K] extends Model.Refused ? K & string : never]: SaysIn<D, N>[K]
}

type SaysIn<D, N> = N extends keyof TypesOf<D>["states"] ? TypesOf<D>["states"][N]["says"] : never

type FieldsOf<D, K> = K extends keyof TypesOf<D>["messages"] ? Schema.Struct.Type<TypesOf<D>["messages"][K]> : never

/** The fields of a message, which may be left out where it has none. */
type Arguments<F> = {} extends F ? [fields?: F] : [fields: F]

/** The fields of a refusal, and why this side says no. */
type Because<F> = {} extends F ? [fields?: F, reason?: Reason] : [fields: F, reason?: Reason]

/**
 * A state in which it is this side's turn. It is used up by what is said in it: to use it twice is a defect.
 *
 * **Details**
 *
 * `say` ends with the next state, or with the transport where the message leads to the end. `refuse` says no, waits until that was
 * heard, and fails at this state: with the reason that is given, or as `Rejected` by this side.
 *
 * @category models
 * @since 0.1.0
 */
export interface Speaking<Name extends string, D, Me extends Model.Role> {
  readonly say: <K extends keyof Onward<D, Name>>(
    message: K,
    ...fields: Arguments<FieldsOf<D, K>>
  ) => Effect.Effect<Next<D, Onward<D, Name>[K], Me>, HandshakeError>
  readonly refuse: <K extends keyof Refusing<D, Name>>(
    message: K,
    ...why: Because<FieldsOf<D, K>>
  ) => Effect.Effect<never, HandshakeError>
}

/**
 * What was heard in a state: the name of the message, its fields, and what comes behind it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Heard<K extends string, D, Then> {
  readonly _tag: K
  readonly message: FieldsOf<D, K>
  readonly then: Then
}

/**
 * A state in which the other side speaks. It is used up by `receive`.
 *
 * **Details**
 *
 * What is received is one of the messages of the state, already checked. A refusal fails as `Rejected`, with the fields
 * of the message. Anything else fails as `InvalidGreeting` at this state, and the other side hears what the dialogue
 * says `otherwise`. When it is interrupted while it waits, it has taken nothing.
 *
 * @category models
 * @since 0.1.0
 */
export interface Listening<Name extends string, D, Me extends Model.Role> {
  readonly receive: Effect.Effect<
    {
      [K in keyof Onward<D, Name> & string]: Heard<K, D, Next<D, Onward<D, Name>[K], Me>>
    }[keyof Onward<D, Name> & string],
    HandshakeError
  >
}

/**
 * A state in which both sides speak. `exchange` says a message and receives that of the other side.
 *
 * @category models
 * @since 0.1.0
 */
export interface Exchanging<Name extends string, D, Me extends Model.Role> {
  readonly exchange: <K extends keyof Onward<D, Name>>(
    message: K,
    ...fields: Arguments<FieldsOf<D, K>>
  ) => Effect.Effect<
    {
      [K in keyof Onward<D, Name> & string]: Heard<K, D, Next<D, Onward<D, Name>[K], Me>>
    }[keyof Onward<D, Name> & string],
    HandshakeError
  >
  readonly refuse: <K extends keyof Refusing<D, Name>>(
    message: K,
    ...why: Because<FieldsOf<D, K>>
  ) => Effect.Effect<never, HandshakeError>
}

/**
 * TLS is due, and then the state that it is named by.
 *
 * @category models
 * @since 0.1.0
 */
export interface Securing<Name extends string, D, Me extends Model.Role> {
  readonly startTls: <E = never, R = never>(
    options: TlsOptions<Me> | Effect.Effect<TlsOptions<Me>, E, R>
  ) => Effect.Effect<At<D, Name, Me>, Failure<E>, R>
}

/** Which role it has, the side knows. */
type TlsOptions<Me> = Me extends "server" ? Roleless<Transport.TlsServerOptions> : Roleless<Transport.TlsClientOptions>

type Roleless<T extends { readonly role: unknown }> = Omit<T, "role"> & { readonly role?: T["role"] | undefined }

declare const EndedTypeId: unique symbol

/**
 * What a side of a dialogue ends with. The only way to get one is to come to an end that is ready.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ended<in out D> {
  /** Of the types alone: it says which dialogue has ended. */
  readonly [EndedTypeId]: D
}

type LiveFor<L, Me> = L extends { readonly server: infer S; readonly client: infer C } ? Me extends "server" ? S : C : L

type Framed<C> = C extends Codec.Codec<infer In, infer Out> ? Transport.Transport<In, Out> : never

/**
 * The value of a state, for one of the sides.
 *
 * @category models
 * @since 0.1.0
 */
export type At<D, N, Me extends Model.Role> = N extends keyof TypesOf<D>["states"] & string
  ? TypesOf<D>["states"][N]["turn"] extends "both" ? Exchanging<N, D, Me>
  : TypesOf<D>["states"][N]["turn"] extends Me ? Speaking<N, D, Me>
  : Listening<N, D, Me>
  : never

type Next<D, T, Me extends Model.Role> = T extends Model.Ready<infer L>
  ? Framed<LiveFor<L extends undefined ? TypesOf<D>["live"] : L, Me>> & Ended<D>
  : T extends Model.Encrypted<infer S extends string> ? Securing<S, D, Me>
  : At<D, T, Me>

/**
 * Why a message is said in the place of what was due: what is wrong with the other side, or why a server turns everybody away.
 *
 * @category models
 * @since 0.1.0
 */
export type Why = Reason | Handshake.Refusal

/** A message with its fields. */
type Said<M extends Messages> = {
  [K in keyof M & string]: { readonly _tag: K } & Schema.Struct.Type<M[K]>
}[keyof M & string]

/** The messages that have no fields, or none that must be given. */
type Bare<M extends Messages> = { [K in keyof M]: {} extends Schema.Struct.Type<M[K]> ? K : never }[keyof M] & string

type Otherwise<M extends Messages> =
  | Bare<M>
  | Said<M>
  | ((why: Why, state: string, retryAfter: Duration.Duration | undefined) => Bare<M> | Said<M> | undefined)

interface Options<M extends Messages, S extends States, Start, L extends Live> {
  /** Its name, as errors, logs, spans and metrics carry it. */
  readonly name: string
  /** What can be said: the Schemas of the fields of each message. A `Redacted` field is a secret everywhere. */
  readonly messages: M
  /** How messages look in bytes. Default: `Wire.json()`, lines of JSON. */
  readonly wire?: Wire<NoInfer<keyof M & string>> | undefined
  /** What is spoken behind the handshake. */
  readonly live: L
  /** The state in which it begins. */
  readonly start: Start
  readonly states: S & NoInfer<Checked<M, S>>
  /**
   * What a side says to a peer that breaks the rules, and a server to one that it turns away: always the same message,
   * or a function of the reason, the state, and when to come back, where a server knows that. Default: nothing.
   *
   * A server that has no room or no time does not tell anybody so that it is for good: where this message means that, it says
   * another refusal, one without fields that is worth another try and due where the client listens next, if there is one.
   */
  readonly otherwise?: {
    readonly server?: Otherwise<NoInfer<M>> | undefined
    readonly client?: Otherwise<NoInfer<M>> | undefined
  } | undefined
  /** How long each state may last. Default: as long as the whole handshake. */
  readonly within?: Duration.Input | undefined
  /** How many bytes each message may have. Default: as many as the wire allows. */
  readonly maxBytes?: number | undefined
}

/**
 * A dialogue, which makes handshakes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Dialogue<D, T extends Types> {
  /** Of the types alone, so that a dialogue can be a class whose name they print. */
  new(never: never): Of<T>
  readonly dialogue: Any["dialogue"]
  /**
   * The server, as a function of the first state. It ends with the transport that the last message has led to, and fails with
   * `HandshakeError` and with whatever the function fails with; a bare `Reason` becomes a `HandshakeError` at its state, and where
   * that is the client's fault the client hears what is said `otherwise`.
   */
  readonly server: <A extends Ended<D>, E, R>(
    talk: (first: At<D, T["start"], "server">) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, Failure<E>, Socket | Scope.Scope | R>
  /** The client, as a function of the first state. */
  readonly client: <A extends Ended<D>, E, R>(
    talk: (first: At<D, T["start"], "client">) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, Failure<E>, Socket | Scope.Scope | R>
  /**
   * The server, by what it says in each of its states: see {@link Turns}. It does the same as one that is written as a function.
   *
   * A server in turns that has nothing to wait for but its client costs no fiber: `Server` runs it on the events of the connection.
   */
  readonly serverTurns: <const S extends Turns<D, "server">, const O extends TurnsOptions<D, "server">>(
    turns: S,
    ...options: Optional<D, O>
  ) => Effect.Effect<EndsOf<D, "server">, Failure<ErrorOf<S, O>>, Socket | Scope.Scope | ServicesOf<S, O>>
  /** The client, by what it says in each of its states: see {@link Turns}. */
  readonly clientTurns: <const S extends Turns<D, "client">, const O extends TurnsOptions<D, "client">>(
    turns: S,
    ...options: Optional<D, O>
  ) => Effect.Effect<EndsOf<D, "client">, Failure<ErrorOf<S, O>>, Socket | Scope.Scope | ServicesOf<S, O>>
}

type StatesOf<D> = TypesOf<D>["states"]

/** The states in which a side speaks. */
type Own<D, Me> = {
  [N in keyof StatesOf<D> & string]: StatesOf<D>[N]["turn"] extends Me | "both" ? N : never
}[keyof StatesOf<D> & string]

/** The states in which it hears something. */
type Others<D, Me> = {
  [N in keyof StatesOf<D> & string]: StatesOf<D>[N]["turn"] extends Me ? never : N
}[keyof StatesOf<D> & string]

/** The messages of a state that lead to another one. */
type LeadingTo<D, M, N> = {
  [K in keyof Onward<D, M> & string]: [NameOf<Onward<D, M>[K]>] extends [never] ? never
    : NameOf<Onward<D, M>[K]> extends N ? K
    : never
}[keyof Onward<D, M> & string]

/** What was heard last when a state is come to: what leads there, unless this side leads there itself. */
type HeardBefore<D, N, Me> =
  | { [M in Others<D, Me>]: Message<D, LeadingTo<D, M, N>> }[Others<D, Me>]
  | ([IsLedTo<D, N, Me>] extends [never] ? never : HeardAt<D, Me> | undefined)
  | (N extends TypesOf<D>["start"] ? undefined : never)

type IsLedTo<D, N, Me> = {
  [M in Exclude<Own<D, Me>, Others<D, Me>>]: [LeadingTo<D, M, N>] extends [never] ? never : true
}[Exclude<Own<D, Me>, Others<D, Me>>]

/** Anything that a side can hear on its way. */
type HeardAt<D, Me> = { [M in Others<D, Me>]: Message<D, keyof Onward<D, M> & string> }[Others<D, Me>]

/** A message that was heard, or one of several. */
type Message<D, K> = K extends string ? { readonly _tag: K; readonly message: FieldsOf<D, K> } : never

/** What may be said in a state: a message by its name, where it has no fields that must be given, or with its fields. */
type Sayable<D, N> = {
  [K in keyof SaysIn<D, N> & string]:
    | ({ readonly _tag: K } & FieldsOf<D, K>)
    | ({} extends FieldsOf<D, K> ? K : never)
}[keyof SaysIn<D, N> & string]

/**
 * What a side says in each of its states: always the same message, or a function of what was heard last and of all that was heard
 * before that, in order. The function returns the message, or an Effect that finds it.
 *
 * **Details**
 *
 * A message is its name, where it has no fields that must be given, or `{ _tag, ...fields }`, as in `otherwise`. One that refuses ends the
 * handshake, which fails as `Rejected` by this side. An Effect that fails ends it as well: with its own error, or with a bare
 * `Reason` at this state, which the other side hears as what is said `otherwise` where it is its fault.
 *
 * **Example** (Who comes in)
 *
 * ```ts
 * import { Codec, Dialogue, Wire } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Schema } from "effect"
 * import { Socket } from "effect/socket"
 *
 * class Knock extends Dialogue.make<Knock>()({
 *   name: "knock",
 *   messages: { Hello: { name: Schema.String }, Welcome: {}, Denied: { why: Schema.String } },
 *   wire: Wire.text(Codec.lines(), { Hello: "HELLO {name}", Welcome: "WELCOME", Denied: "NO {why}" }),
 *   live: Codec.lines(),
 *   start: "greeting",
 *   states: {
 *     greeting: Dialogue.client({ Hello: "verdict" }),
 *     verdict: Dialogue.server({ Welcome: Dialogue.ready, Denied: Dialogue.refused({ retryable: false }) })
 *   }
 * }) {}
 *
 * const server = Knock.serverTurns({
 *   verdict: ({ message }) => message.name === "Ann" ? "Welcome" : { _tag: "Denied", why: `who is ${message.name}?` }
 * })
 * const client = (name: string) => Knock.clientTurns({ greeting: { _tag: "Hello", name } })
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   yield* Effect.forkScoped(Effect.provideService(server, Socket.Socket, there))
 *   return yield* Effect.flip(Effect.provideService(client("Bob"), Socket.Socket, here))
 * })
 *
 * console.log((await Effect.runPromise(Effect.scoped(program))).message)
 * // => knock handshake failed at step verdict: rejected by the peer: "NO who is Bob?"
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export type Turns<D, Me extends Model.Role> = {
  readonly [N in Own<D, Me>]:
    | Sayable<D, N>
    | ((
      heard: HeardBefore<D, N, Me>,
      earlier: ReadonlyArray<HeardAt<D, Me>>
    ) => Sayable<D, N> | Effect.Effect<Sayable<D, N>, any, any>)
}

/** Whether TLS begins anywhere. */
type IsEncrypted<D> = {
  [N in keyof StatesOf<D>]: Extract<StatesOf<D>[N]["says"][keyof StatesOf<D>[N]["says"]], Model.Encrypted<string>>
}[keyof StatesOf<D>]

/**
 * What a side in turns does besides speaking.
 *
 * **Details**
 *
 * - `checks`: look at what was heard in a state, before anything follows it: for what has no turn behind it, such as the last word of the
 *   other side. They return the `Reason` why this side goes no further, as a turn fails, or undefined; or an Effect.
 * - `tls`: how it becomes encrypted, or an Effect that finds it. It is needed where the dialogue says that it does.
 *
 * @category models
 * @since 0.1.0
 */
export interface TurnsOptions<D, Me extends Model.Role> {
  readonly checks?: Checks<D, Me> | undefined
  readonly tls?: TlsOptions<Me> | Effect.Effect<TlsOptions<Me>, any, any> | undefined
}

type Checks<D, Me> = {
  readonly [N in Others<D, Me>]?:
    | ((
      heard: Message<D, keyof Onward<D, N> & string>,
      earlier: ReadonlyArray<HeardAt<D, Me>>
    ) => Reason | undefined | Effect.Effect<unknown, any, any>)
    | undefined
}

type Optional<D, O> = [IsEncrypted<D>] extends [never] ? [options?: O]
  : [options: O & { readonly tls: NonNullable<unknown> }]

type ReturnOf<S> = { [N in keyof S]: S[N] extends (...args: never) => infer Said ? Said : never }[keyof S]

/** All that the functions of a side return. Where there are no options, they are inferred as any that there can be. */
type Returned<S, O> =
  | ReturnOf<S>
  | ({} extends O ? never
    : O extends { readonly checks: infer C } ? ReturnOf<C>
    : never)
  | ({} extends O ? never
    : O extends { readonly tls: infer T } ? T
    : never)

type ErrorOf<S, O> = Returned<S, O> extends infer Said ?
  Said extends Effect.Effect<unknown, infer E, unknown> ? E : never
  : never

type ServicesOf<S, O> = Returned<S, O> extends infer Said
  ? Said extends Effect.Effect<unknown, unknown, infer R> ? R : never
  : never

/**
 * A refusal with the reason why this side says no, for {@link Turns}: it fails with this, in the place of `Rejected`.
 *
 * @category states
 * @since 0.1.0
 */
export const because: {
  <const K extends string>(said: K, reason: Reason): { readonly _tag: K }
  <const S extends { readonly _tag: string }>(said: S, reason: Reason): S
} = Spoken.because as never // it adds what no type tells

/** The transports that the ends of a dialogue lead to. */
type EndsOf<D, Me extends Model.Role> = {
  [N in keyof StatesOf<D>]: {
    [K in keyof StatesOf<D>[N]["says"]]: StatesOf<D>[N]["says"][K] extends Model.Ready<unknown>
      ? Next<D, StatesOf<D>[N]["says"][K], Me>
      : never
  }[keyof StatesOf<D>[N]["says"]]
}[keyof StatesOf<D>]

/**
 * Any dialogue.
 *
 * @category models
 * @since 0.1.0
 */
export interface Any {
  /** @internal */
  readonly dialogue: Spec.Spec
}

/**
 * Writes a dialogue down.
 *
 * **Details**
 *
 * As a class, its states are called by its name in what the compiler says:
 * `class Vault extends Dialogue.make<Vault>()({ … }) {}`.
 *
 * A specification that is wrong does not compile, or throws when it is made and names the state: one that nothing leads to, or
 * from which no way leads to an end that is ready; messages that nobody can tell apart; a wire that cannot carry a message.
 *
 * **Example** (A nonce, and a proof of who has the key)
 *
 * ```ts
 * import { Codec, Dialogue, HandshakeError, Wire } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Schema } from "effect"
 * import { Socket } from "effect/socket"
 *
 * class Knock extends Dialogue.make<Knock>()({
 *   name: "knock",
 *   messages: {
 *     Hello: { version: Schema.Int },
 *     Welcome: {},
 *     Denied: { why: Schema.String }
 *   },
 *   wire: Wire.text(Codec.lines(), { Hello: "HELLO {version}", Welcome: "WELCOME", Denied: "NO {why}" }),
 *   live: Codec.lines(),
 *   start: "greeting",
 *   states: {
 *     greeting: Dialogue.client({ Hello: "verdict" }, { within: "5 seconds", maxBytes: 64 }),
 *     verdict: Dialogue.server({ Welcome: Dialogue.ready, Denied: Dialogue.refused({ retryable: false }) })
 *   },
 *   otherwise: { server: { _tag: "Denied", why: "speak properly" } }
 * }) {}
 *
 * const server = Knock.server((greeting) => Effect.gen(function*() {
 *   const { message, then: verdict } = yield* greeting.receive
 *   if (message.version === 2) return yield* verdict.say("Welcome")
 *   const reason = new HandshakeError.UnsupportedVersion({ offered: String(message.version), supported: ["2"] })
 *   return yield* verdict.refuse("Denied", { why: "version 2 is spoken here" }, reason)
 * }))
 *
 * const client = Knock.client((greeting) => Effect.gen(function*() {
 *   const verdict = yield* greeting.say("Hello", { version: 1 })
 *   const { then } = yield* verdict.receive
 *   return then
 * }))
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   yield* Effect.forkScoped(Effect.provideService(server, Socket.Socket, there))
 *   return yield* Effect.flip(Effect.provideService(client, Socket.Socket, here))
 * })
 *
 * const error = await Effect.runPromise(Effect.scoped(program))
 * console.log(error.message)
 * // => knock handshake failed at step verdict: rejected by the peer: "NO version 2 is spoken here"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <Self>() =>
<
  const M extends Messages,
  const S extends States,
  const Start extends keyof S & string,
  L extends Live
>(options: Options<M, S, Start, L>): Dialogue<
  Self,
  { readonly messages: M; readonly states: S; readonly live: L; readonly start: Start }
> => {
  const dialogue = Spec.compile(options as Spec.Source)
  // A class extends it for the sake of a name; nobody makes one. What its talks are typed as, only the type says.
  const made: unknown = Object.assign(function Dialogue() {}, {
    dialogue,
    server: (talk: (first: never) => Effect.Effect<unknown>) => Run.talk(dialogue, "server", talk),
    client: (talk: (first: never) => Effect.Effect<unknown>) => Run.talk(dialogue, "client", talk),
    serverTurns: (turns: Spoken.Turns, options?: Spoken.Options) => Spoken.make(dialogue, "server", turns, options),
    clientTurns: (turns: Spoken.Turns, options?: Spoken.Options) => Spoken.make(dialogue, "client", turns, options)
  })
  return made as Dialogue<
    Self,
    { readonly messages: M; readonly states: S; readonly live: L; readonly start: Start }
  >
}

const snapshotOf = (dialogue: Any | SnapshotModel.Snapshot): SnapshotModel.Snapshot =>
  Predicate.hasProperty(dialogue, "dialogue") ? Snapshots.of(dialogue.dialogue) : dialogue

/**
 * A dialogue as plain JSON, to be kept with each release.
 *
 * **Details**
 *
 * It is the same each time it is made, down to the order of its members, so that a change shows as a small difference.
 * Secrets in its examples are made up.
 *
 * **Example** (What a version of a protocol was)
 *
 * ```ts
 * import { Codec, Dialogue, Wire } from "effect-handshake"
 * import { Schema } from "effect"
 *
 * const Knock = Dialogue.make()({
 *   name: "knock",
 *   messages: { Hello: { version: Schema.Literals([1, 2]) }, Welcome: {} },
 *   wire: Wire.text(Codec.lines(), { Hello: "HELLO {version}", Welcome: "WELCOME" }),
 *   live: Codec.lines(),
 *   start: "greeting",
 *   states: {
 *     greeting: Dialogue.client({ Hello: "verdict" }),
 *     verdict: Dialogue.server({ Welcome: Dialogue.ready })
 *   }
 * })
 *
 * const snapshot = Dialogue.snapshot(Knock)
 * console.log(JSON.stringify(snapshot.states))
 * // => {"greeting":{"turn":"client","says":{"Hello":{"to":"verdict"}}},"verdict":{"turn":"server","says":{"Welcome":{"ready":true}}}}
 * console.log(JSON.stringify(snapshot.wire.messages.Hello?.examples))
 * // => [{"fields":{"version":1},"bytes":"48454c4c4f20310a"}]
 * ```
 *
 * @category snapshots
 * @since 0.1.0
 */
export const snapshot = (dialogue: Any): SnapshotModel.Snapshot => Snapshots.of(dialogue.dialogue)

/**
 * A snapshot that was read from somewhere, if it is one: `InvalidSnapshot` says what is wrong with it.
 *
 * **Example** (Something else)
 *
 * ```ts
 * import { Dialogue } from "effect-handshake"
 * import { Result } from "effect"
 *
 * const parsed = Dialogue.parseSnapshot({ version: 99 })
 * if (Result.isFailure(parsed)) console.log(parsed.failure.message)
 * // => this is no snapshot of a dialogue: Expected 1 at ["version"]
 * ```
 *
 * @category snapshots
 * @since 0.1.0
 */
export const parseSnapshot: (json: unknown) => Result.Result<SnapshotModel.Snapshot, SnapshotModel.InvalidSnapshot> =
  SnapshotModel.parse

/**
 * The state diagram of a dialogue, for Mermaid.
 *
 * **Example** (Two states)
 *
 * ```ts
 * import { Codec, Dialogue } from "effect-handshake"
 *
 * const Knock = Dialogue.make()({
 *   name: "knock",
 *   messages: { Hello: {}, Welcome: {}, Denied: {} },
 *   live: Codec.lines(),
 *   start: "greeting",
 *   states: {
 *     greeting: Dialogue.client({ Hello: "verdict" }),
 *     verdict: Dialogue.server({ Welcome: Dialogue.ready, Denied: Dialogue.refused({ retryable: false }) })
 *   }
 * })
 *
 * console.log(Dialogue.diagram(Knock).split("\n").slice(3, 6).join("\n"))
 * // =>   [*] --> greeting
 * // =>   greeting --> verdict: Hello
 * // =>   verdict --> ready: Welcome
 * ```
 *
 * @category documentation
 * @since 0.1.0
 */
export const diagram = (dialogue: Any | SnapshotModel.Snapshot): string => Diagram.mermaid(snapshotOf(dialogue))

/**
 * The states of a dialogue as a picture in SVG: one below the other, whose turn it is and for how long, and where each message leads.
 *
 * **Details**
 *
 * It is one file that needs no other: light or dark as the reader has it (`prefers-color-scheme`), with a title, and with
 * {@link outline} for those who do not see it. Names and messages of more than 60 characters are cut.
 *
 * **Example** (A picture of the line protocol)
 *
 * ```ts
 * import { Dialogue } from "effect-handshake"
 * import { Line } from "effect-handshake/protocols/Line"
 *
 * console.log(Dialogue.svg(Line).split("\n")[1])
 * // => <title>line: who may say what, and where it leads</title>
 * ```
 *
 * @see {@link diagram} for Mermaid
 *
 * @category documentation
 * @since 0.1.0
 */
export const svg = (dialogue: Any | SnapshotModel.Snapshot): string => Picture.svg(snapshotOf(dialogue))

/**
 * The states of a dialogue as text, for a terminal.
 *
 * **Example** (Two states)
 *
 * ```ts
 * import { Codec, Dialogue } from "effect-handshake"
 *
 * const Knock = Dialogue.make()({
 *   name: "knock",
 *   messages: { Hello: {}, Welcome: {} },
 *   live: Codec.lines(),
 *   start: "greeting",
 *   states: {
 *     greeting: Dialogue.client({ Hello: "verdict" }, { within: "5 seconds" }),
 *     verdict: Dialogue.server({ Welcome: Dialogue.ready })
 *   }
 * })
 *
 * console.log(Dialogue.outline(Knock).trimEnd())
 * // => knock, from greeting
 * // =>
 * // => greeting: client speaks, within 5s
 * // =>   Hello    -> verdict
 * // =>
 * // => verdict: server speaks
 * // =>   Welcome  -> ready
 * ```
 *
 * @category documentation
 * @since 0.1.0
 */
export const outline = (dialogue: Any | SnapshotModel.Snapshot): string => Diagram.outline(snapshotOf(dialogue))

/**
 * A dialogue as a document in Markdown, for whoever writes the other side in another language: whose turn it is in each state, for
 * how long and how much, what may be said, how that looks in bytes, with examples, and what is said to whoever breaks the rules.
 *
 * **Details**
 *
 * Secrets in its examples are made up. Of a `Wire.codec` there are the fields and examples.
 *
 * **Example** (What the document says of a message)
 *
 * ```ts
 * import { Codec, Dialogue, Wire } from "effect-handshake"
 * import { Schema } from "effect"
 *
 * const Knock = Dialogue.make()({
 *   name: "knock",
 *   messages: { Hello: { version: Schema.Literals([1, 2]) }, Welcome: {} },
 *   wire: Wire.text(Codec.lines(), { Hello: "HELLO {version}", Welcome: "WELCOME" }),
 *   live: Codec.lines(),
 *   start: "greeting",
 *   states: {
 *     greeting: Dialogue.client({ Hello: "verdict" }),
 *     verdict: Dialogue.server({ Welcome: Dialogue.ready })
 *   }
 * })
 *
 * const lines = Dialogue.document(Knock).split("\n")
 * console.log(lines.find((line) => line.startsWith("| `version`")))
 * // => | `version` | 1 or 2 | checked by whoever receives it |
 * console.log(lines.find((line) => line.startsWith("48 45")))
 * // => 48 45 4c 4c 4f 20 31 0a                          HELLO 1.
 * ```
 *
 * @category documentation
 * @since 0.1.0
 */
export const document = (dialogue: Any | SnapshotModel.Snapshot): string => Document.markdown(snapshotOf(dialogue))

/**
 * Compares two versions of a dialogue: whether yesterday's client still understands today's server, and today's client yesterday's
 * server.
 *
 * **Details**
 *
 * The client of one version is played with the server of the other, breadth first. Both sides may say whatever their own version
 * allows, with all values that their Schemas take; they part where something of it is not read by the other as the same, where one
 * is ready and the other is not, and where both wait. It is told by the shortest conversation that comes to it.
 *
 * Fewer bytes or less time is told as a warning. What cannot be decided, such as whether two patterns match the same
 * texts, counts as not understood, and `isCertain` is false. But a version understands itself: both sides choose among the same
 * messages in the same order, and alike. Where both versions have a check without a name, the two
 * are taken for the same. Where `otherwise` is a function, what it says to a peer that says what is not due is
 * compared.
 *
 * **Example** (A version is not spoken any more)
 *
 * ```ts
 * import { Codec, Dialogue, Wire } from "effect-handshake"
 * import { Schema } from "effect"
 *
 * const knock = (versions: ReadonlyArray<number>) =>
 *   Dialogue.make()({
 *     name: "knock",
 *     messages: { Hello: { version: Schema.Literals(versions) }, Welcome: {}, Denied: {} },
 *     wire: Wire.text(Codec.lines(), { Hello: "HELLO {version}", Welcome: "WELCOME", Denied: "NO" }),
 *     live: Codec.lines(),
 *     start: "greeting",
 *     states: {
 *       greeting: Dialogue.client({ Hello: "verdict" }),
 *       verdict: Dialogue.server({ Welcome: Dialogue.ready, Denied: Dialogue.refused({ retryable: false }) })
 *     },
 *     otherwise: { server: "Denied" }
 *   })
 *
 * const comparison = Dialogue.compare(knock([1, 2]), knock([2]))
 * console.log(Dialogue.formatComparison(comparison).trimEnd())
 * // => knock
 * // =>
 * // => an older client and a newer server part
 * // =>   client -> Hello {"version":1}
 * // =>   the newer server does not read Hello: version: 1 is not taken
 * // =>   it ends in a refusal: the newer server says Denied, and the older client knows that it is refused
 * // =>
 * // => a newer client and an older server understand each other
 * ```
 *
 * @category comparing
 * @since 0.1.0
 */
export const compare: {
  (
    newer: Any | SnapshotModel.Snapshot
  ): (older: Any | SnapshotModel.Snapshot) => CompareModel.Comparison
  (older: Any | SnapshotModel.Snapshot, newer: Any | SnapshotModel.Snapshot): CompareModel.Comparison
} = dual(
  2,
  (older: Any | SnapshotModel.Snapshot, newer: Any | SnapshotModel.Snapshot): CompareModel.Comparison =>
    Comparing.compare(snapshotOf(older), snapshotOf(newer))
)

/**
 * A comparison for people: both directions, the conversation in which they part, and how that ends.
 *
 * @see {@link compare} for an example
 *
 * @category comparing
 * @since 0.1.0
 */
export const formatComparison = (comparison: CompareModel.Comparison): string => Comparing.format(comparison)

/**
 * What was said in a conversation, as a dialogue sees it.
 *
 * **Details**
 *
 * `said` are the messages that were due, in order. `end` is how it goes on: `Ready`, `Refused`, `Waiting` for whoever is to speak,
 * `Wrong` where something came that is not due or too long, or `TooOften` where a state was come to more often than it may be. `rest`
 * is what each side has said behind that.
 *
 * @category models
 * @since 0.1.0
 */
export interface Followed {
  readonly said: ReadonlyArray<{
    readonly state: string
    readonly by: Model.Role
    readonly message: string
    readonly fields: Readonly<Record<string, unknown>>
  }>
  readonly end: {
    readonly _tag: "Ready" | "Refused" | "Waiting" | "Wrong" | "TooOften"
    readonly state: string
    /** Whoever has refused, said something wrong, or is waited for. */
    readonly by: Model.Role | undefined
    /** The message that it is, where it is one. */
    readonly message: string | undefined
    readonly fields: Readonly<Record<string, unknown>>
    /** What is wrong. */
    readonly problem: string | undefined
  }
  readonly rest: Readonly<Record<Model.Role, Uint8Array>>
}

/**
 * Follows a conversation that was had, message by message: whether both sides have said what they may, whoever they were.
 *
 * **When to use**
 *
 * Use to hold implementations that exist to a dialogue, such as a server and a client that nobody here wrote, by what they say.
 *
 * **Details**
 *
 * It is given all bytes of both sides. Behind a message that leads to TLS nothing can be read any more, and what comes is `Wrong`.
 *
 * **Example** (A server that says something else)
 *
 * ```ts
 * import { Dialogue } from "effect-handshake"
 * import { Line } from "effect-handshake/protocols/Line"
 *
 * const bytes = (text: string) => new TextEncoder().encode(text)
 *
 * const { end, said } = Dialogue.follow(Line, { client: bytes("You ready?\nHello\n"), server: bytes("Bring me!\n") })
 *
 * console.log(said.map(({ by, message }) => `${by}: ${message}`)) // => [ 'client: Question' ]
 * console.log(end._tag, end.by, end.state, end.problem) // => Wrong server answer it is no message
 * ```
 *
 * @category derived
 * @since 0.1.0
 */
export const follow = (dialogue: Any, said: Readonly<Record<Model.Role, Uint8Array>>): Followed => {
  const { end, rest, taken } = Follow.follow(dialogue.dialogue, said)
  return {
    said: taken.map(({ by, state, tag, values }) => ({ state: state.name, by, message: tag, fields: values })),
    end: {
      _tag: end._tag,
      state: end.state.name,
      by: "by" in end ? end.by : "on" in end ? end.on : undefined,
      message: "tag" in end ? end.tag : undefined,
      fields: "values" in end ? end.values : {},
      problem: "problem" in end ? end.problem : undefined
    },
    rest
  }
}
