/**
 * What belongs to one session at a time: who of all machines has the session of a user. Effect Cluster runs one entity for each
 * user, on one of the machines, and that is whom all of them ask.
 */
import { Context, Deferred, Effect, Layer, Schema, Stream } from "effect"
import { Entity } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { Migrator, SqlClient } from "effect/sql"

/** Nobody can say who has the session: the cluster or its database is away, or this machine is cut off. */
export class Unknown extends Schema.TaggedError<Unknown>()("Unknown", {}) {}

/** Somebody logged in later, on the machine `by`. */
export class TakenOver extends Schema.TaggedError<TakenOver>()("TakenOver", { by: Schema.String }) {}

/** Logins are numbered, in the order in which they come to PostgreSQL. The later one has the session. */
export class Logins extends Context.Service<Logins, { readonly next: Effect.Effect<number, Unknown> }>()("app/Logins") {
  static readonly layer = Layer.effect(
    Logins,
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* Migrator.make({})({
        table: "logins_migrations",
        loader: Migrator.fromRecord({ "1_logins": sql`CREATE SEQUENCE logins` })
      })
      const next = sql<{ n: string }>`SELECT nextval('logins') AS n`.pipe(
        Effect.map(([{ n }]) => Number(n)),
        Effect.timeout("5 seconds"),
        Effect.mapError(() => new Unknown())
      )
      return { next }
    })
  )
}

const News = Schema.TaggedUnion({ Wait: {}, Yours: {}, Taken: { by: Schema.String } })

/**
 * Has the session for as long as the stream is read: `Yours` when nobody else has it any more, and `Taken` when somebody came who
 * logged in later. Who hears that ends what it does for the session, and then stops reading. What was said is said again each `beat`.
 */
const Hold = Rpc.make("Hold", { payload: { machine: Schema.String, login: Schema.Int }, success: News, stream: true })

/** Which machine has it. */
const Holder = Rpc.make("Holder", { success: Schema.NullOr(Schema.String) })

export const Session = Entity.make("Session", [Hold, Holder])

interface Held {
  readonly machine: string
  readonly login: number
  readonly taken: Deferred.Deferred<string>
  readonly gone: Deferred.Deferred<void>
}

const beat = "5 seconds"

/** How long a machine that hears nothing may go on. */
const patience = "15 seconds"

/** How long the one before may take to go, and longer than `patience`: it may be one that does not hear that it has to. */
const handover = "20 seconds"

export const SessionLive = Session.toLayer(
  Effect.sync(() => {
    const all = new Set<Held>()
    const newest = () =>
      Array.from(all).reduce<Held | undefined>((a, b) => a === undefined || b.login >= a.login ? b : a, undefined)

    const enter = Effect.fnUntraced(function*(held: Held) {
      // It may be there twice, when it asks again before its end has come through.
      const before = Array.from(all).filter(({ login }) => login !== held.login)
      all.add(held)
      const last = newest()!
      yield* Effect.forEach(
        all,
        ({ login, taken }) => login === last.login ? Effect.void : Deferred.succeed(taken, last.machine)
      )
      return Effect.forEach(before, ({ gone }) => Deferred.await(gone)).pipe(
        Effect.timeoutOption(handover),
        Effect.as(News.cases.Yours.make({}))
      )
    })

    return Session.of({
      Hold: ({ payload: { login, machine } }) =>
        Stream.unwrap(Effect.gen(function*() {
          const held = { login, machine, taken: Deferred.makeUnsafe<string>(), gone: Deferred.makeUnsafe<void>() }
          yield* Effect.addFinalizer(() => {
            all.delete(held)
            return Deferred.succeed(held.gone, undefined)
          })
          const yours = yield* enter(held)
          const taken = Effect.map(Deferred.await(held.taken), (by) => News.cases.Taken.make({ by }))
          return Stream.make(News.cases.Wait.make({})).pipe(
            Stream.concat(Stream.fromEffect(Effect.raceFirst(yours, taken))),
            Stream.concat(Stream.fromEffect(taken)),
            Stream.switchMap((news) => Stream.map(Stream.tick(beat), () => news))
          )
        })),
      Holder: () => Effect.sync(() => newest()?.machine ?? null)
    })
  }),
  // Who has it must not keep the next one from being heard.
  { concurrency: "unbounded" }
)

/**
 * Does something for the session of a user when this machine has it, with the number of the login, and stops when it is lost.
 * The machine with the entity may go away meanwhile: then it is asked for again, where the entity is then.
 */
export const withSession = Effect.fnUntraced(function*<A, E, R>(
  who: { readonly user: string; readonly machine: string },
  serve: (login: number) => Effect.Effect<A, E, R>
) {
  const login = yield* (yield* Logins).next
  const entity = (yield* Session.client)(who.user)
  const begun = yield* Deferred.make<void>()
  const lost = yield* Deferred.make<never, TakenOver | Unknown>()
  yield* entity.Hold({ machine: who.machine, login }).pipe(
    // Where it breaks it is asked for again.
    Stream.catchCause(() => Stream.empty),
    Stream.concat(Stream.fromEffectDrain(Effect.sleep("100 millis"))),
    Stream.forever,
    Stream.timeoutOrElse({ duration: patience, orElse: () => Stream.fail(new Unknown()) }),
    Stream.runForEach(News.match({
      Wait: () => Effect.void,
      Yours: () => Deferred.succeed(begun, undefined),
      Taken: ({ by }) => Deferred.fail(lost, new TakenOver({ by }))
    })),
    Effect.catch((unknown) => Deferred.fail(lost, unknown)),
    // It is read until `serve` is over or has been stopped, and not before that is the session another's.
    Effect.forkScoped
  )
  return yield* Effect.raceFirst(
    Effect.andThen(Deferred.await(begun), serve(login)),
    Deferred.await(lost)
  )
}, Effect.scoped)
