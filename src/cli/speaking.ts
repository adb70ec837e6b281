/**
 * A side of a dialogue that the command plays: what is said comes from the flags, from the terminal, or is drawn.
 *
 * @internal
 */
import { type Prompt, TerminalCapabilities } from "effect/cli"
import * as Console from "effect/Console"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { Socket } from "effect/socket/Socket"
import type * as Dialogue from "../Dialogue.ts"
import * as Excerpt from "../Excerpt.ts"
import { HandshakeError, Rejected } from "../HandshakeError.ts"
import * as Chance from "../internal/dialogue/chance.ts"
import * as Player from "../internal/dialogue/player.ts"
import type { Spec } from "../internal/dialogue/spec.ts"
import * as Tls from "../protocols/Tls.ts"
import * as Server from "../Server.ts"
import * as Transport from "../Transport.ts"
import * as Ask from "./ask.ts"
import type { SpeakingFlags } from "./dialogueFlags.ts"
import * as Flags from "./flags.ts"
import * as Given from "./given.ts"
import * as Listen from "./listen.ts"
import * as Modules from "./modules.ts"
import * as TlsFlags from "./tls.ts"
import * as Told from "./told.ts"

/** What a played side ends with, where it does not fail. */
export type Spoken = Transport.Transport<unknown, unknown>

/** Who quits at the terminal has had enough. */
const quit = Effect.suspend(() => Effect.fail(new Flags.Exited({ code: Flags.onSignal.code })))

/** A client that goes towards the end that is ready. Where it asks, it tells what is said when it is said. */
export const client = Effect.fnUntraced(function*(
  { dialogue }: Dialogue.Any,
  host: string,
  flags: SpeakingFlags & TlsFlags.ClientFlags
): Effect.fn.Return<
  Effect.Effect<Spoken, HandshakeError | Flags.Exited, Socket | Scope.Scope>,
  Flags.Exited,
  FileSystem.FileSystem | Prompt.Environment
> {
  const given = yield* Given.read(dialogue, flags)
  const seed = yield* Given.seedOf(flags)
  const tls = yield* TlsFlags.clientOptions(flags, host)
  const terminal = yield* Effect.context<Prompt.Environment>()
  const choose: Player.Choose<Flags.Exited> = flags.ask
    ? (turn) => Effect.catch(Effect.provide(Ask.choose(given)(turn), terminal), () => quit)
    : Chance.onward(given)
  return Player.play(dialogue, "client", choose, {
    tls: { ...tls, role: "client" },
    ...flags.ask && { tell: (taken: Player.Taken) => Console.log(Told.line(taken)) }
  }).pipe(
    Random.withSeed(seed),
    Effect.flatMap(({ ending, taken }): Effect.Effect<Spoken, HandshakeError | Flags.Exited> => {
      switch (ending._tag) {
        case "Ready":
          return Effect.succeed(ending.transport)
        case "Stopped":
          // Whoever may try again was not let in.
          if (ending.why === Chance.ledBack.why) {
            const { fields, message } = taken.at(-1)!
            return notWanted(dialogue, ending.state, "peer", Told.message(message, fields))
          }
          return Flags.failing(`cannot go on in the state ${ending.state}: ${ending.why}`, Flags.usage)
        default:
          return Effect.fail(ending.error!) // nothing wrong was said
      }
    })
  )
})

/** How long a handshake may take: as long as somebody at the terminal does. */
export const timeoutOf = ({ ask }: SpeakingFlags, timeout: Duration.Duration): Duration.Duration =>
  // A timer of Node has no more than 24 days.
  ask ? Duration.days(20) : timeout

export interface ServerOptions extends SpeakingFlags, Listen.Options, TlsFlags.ServerFlags {}

const hasEncrypted = ({ states }: Spec): boolean =>
  Array.from(states.values()).some(({ targets }) =>
    Array.from(targets.values()).some((target) => typeof target === "object" && target._tag === "Encrypted")
  )

/** A server that says whatever may be said, and tells what is said when it is said. */
export const server = Effect.fnUntraced(function*(module: string, options: ServerOptions) {
  const { dialogue: spec } = yield* Modules.load(module, "; the protocols are line, tls-line, http2, postgres and any")
  if (options.watch && options.ask) {
    return yield* Flags.failing("--watch and --ask each need the terminal: leave one of them out", Flags.usage)
  }
  const timeout = timeoutOf(options, options.handshakeTimeout)
  const prepared = yield* Listen.prepared({ ...options, handshakeTimeout: timeout }, { on: Effect.void })
  const given = yield* Given.read(spec, options)
  const seed = yield* Given.seedOf(options)
  const tls = yield* TlsFlags.serving(options)
  const { canAnimate } = yield* TerminalCapabilities.TerminalCapabilities
  // What is told of each conversation would be drawn over.
  const isDrawn = options.watch && canAnimate
  const isLater = hasEncrypted(spec)
  if (isLater && Option.isNone(tls)) {
    yield* Console.error(`warning: ${spec.name} goes on inside TLS, and without --tls-cert and --tls-key it ends there`)
  }
  const terminal = yield* Effect.context<Prompt.Environment>()
  const hasQuit = yield* Deferred.make<void>()
  // Two questions at once are none.
  const asking = yield* Semaphore.make(1)
  let conversations = 0

  const handshake = Effect.suspend(() => {
    const conversation = ++conversations
    const label = `#${conversation}  `
    const tell = (line: string) => isDrawn ? Effect.void : Console.log(label + line)
    const asked = Ask.choose(given, label)
    const choose: Player.Choose = options.ask
      ? (turn) =>
        asking.withPermits(1)(Effect.provide(asked(turn), terminal)).pipe(
          Effect.catch(() => Effect.as(Deferred.succeed(hasQuit, undefined), Player.stop("nobody is there any more")))
        )
      : Chance.choose(given)
    return Player.play(spec, "server", choose, {
      tls: isLater && Option.isSome(tls) ? Effect.map(tls.value, (tls) => ({ ...tls, role: "server" })) : undefined,
      tell: (taken) => tell(Told.line(taken))
    }).pipe(
      Random.withSeed(seed + conversation),
      Effect.flatMap(Effect.fnUntraced(function*({ ending }) {
        if (ending._tag === "Ready") {
          yield* tell("ready")
          return Transport.extend(ending.transport, { tell })
        }
        yield* tell(Told.ending(ending))
        return yield* ending._tag === "Stopped"
          ? notWanted(spec, ending.state, "local", ending.why)
          : Effect.fail(ending.error!) // nothing wrong was said
      })),
      Effect.onInterrupt(() => tell("not done in time, or the server is to end"))
    )
  })
  const layer = Server.layer({
    handshake: prepared.behind(!isLater && Option.isSome(tls) ? Tls.server(handshake, tls.value) : handshake),
    // What is behind the handshake is nobody's business here.
    serve: ({ receive, tell }) => Effect.forever(Effect.flatMap(receive, (frame) => tell(Excerpt.ofFrame(frame)))),
    ...prepared.settings
  })
  const note = `${spec.name}, drawn from the seed ${seed}`
  yield* Effect.raceFirst(Listen.alone(prepared.options, layer, note), Deferred.await(hasQuit))
})

const notWanted = ({ name }: Spec, state: string, by: "peer" | "local", said: string) =>
  Effect.fail(
    new HandshakeError({
      protocol: name,
      step: state,
      reason: new Rejected({ by, said, retryable: by === "local" })
    })
  )
