/**
 * What belongs to one session at a time: who of all machines has the session of a user. Effect Cluster runs one entity for each
 * user, on one of the machines, and that is whom all of them ask.
 */
import { Deferred, type Duration, Effect, Latch, Layer, Schema, Stream } from "effect"
import { Entity } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { Migrator, SqlClient } from "effect/sql"

/** Logins are numbered, in the order in which they come to PostgreSQL. The later one has the session. */
const nextLogin = Effect.flatMap(SqlClient.SqlClient, (sql) => sql<{ n: string }>`SELECT nextval('logins') AS n`).pipe(
  Effect.map(([{ n }]) => Number(n))
)

/** What PostgreSQL needs for it. */
export const LoginsLive = Layer.effectDiscard(
  Migrator.make({})({
    table: "logins_migrations",
    loader: Migrator.fromRecord({
      "1_logins": Effect.flatMap(SqlClient.SqlClient, (sql) => sql`CREATE SEQUENCE logins`)
    })
  })
)

const News = Schema.Union([Schema.TaggedStruct("Yours", {}), Schema.TaggedStruct("Taken", { by: Schema.String })])

/**
 * Has the session for as long as the stream is read: `Yours` when nobody else has it any more, and `Taken` when somebody came who
 * logged in later. Who hears that ends what it does for the session, and then stops reading.
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

/** How long the one before may take to go. Longer than it takes a machine that hears nothing to give up: see `patience`. */
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
        Effect.as(News.make({ _tag: "Yours" }))
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
          const taken = Effect.map(Deferred.await(held.taken), (by) => News.make({ _tag: "Taken", by }))
          return Stream.concat(
            Stream.fromEffect(Effect.raceFirst(yours, taken)),
            Stream.concat(Stream.fromEffect(taken), Stream.never)
          )
        })),
      Holder: () => Effect.sync(() => newest()?.machine ?? null)
    })
  }),
  // Who has it must not keep the next one from being heard.
  { concurrency: "unbounded" }
)

/** Somebody logged in later, on the machine `by`. */
export class TakenOver extends Schema.TaggedError<TakenOver>()("TakenOver", { by: Schema.String }) {}

/** Nobody can say who has the session: the cluster or its database is away, or this machine is cut off. */
export class Unknown extends Schema.TaggedError<Unknown>()("Unknown", {}) {}

/** How long a machine may not know whether a session is still its own. */
const patience = "5 seconds"

/** How long it may take until a session is had: longer than `handover`. */
const arrival = "30 seconds"

/**
 * Does something for the session of a user when this machine has it, with the number of the login, and stops when it is lost.
 * The machine with the entity may go away meanwhile: then it is asked for again, where the entity is then.
 */
export const withSession = Effect.fnUntraced(function*<A, E, R>(
  who: { readonly user: string; readonly machine: string },
  serve: (login: number) => Effect.Effect<A, E, R>
) {
  const login = yield* nextLogin.pipe(
    Effect.timeout(patience),
    Effect.mapError(() => new Unknown())
  )
  const entity = (yield* Session.client)(who.user)
  const isOurs = yield* Latch.make()
  const lost = yield* Deferred.make<never, TakenOver | Unknown>()

  const hold = entity.Hold({ machine: who.machine, login }).pipe(
    Stream.runForEach((news) =>
      news._tag === "Yours" ? isOurs.open : Deferred.fail(lost, new TakenOver({ by: news.by }))
    ),
    Effect.ensuring(isOurs.close),
    Effect.ignoreCause,
    Effect.andThen(Effect.sleep("100 millis")),
    Effect.forever
  )
  const unknownAfter = (duration: Duration.Input) =>
    Effect.timeoutOrElse(isOurs.await, { duration, orElse: () => Deferred.fail(lost, new Unknown()) })
  // Their end is heard of when `serve` is over or has been stopped, and not before.
  yield* Effect.forkScoped(hold)
  yield* Effect.raceFirst(unknownAfter(arrival), Deferred.await(lost))
  yield* Effect.forkScoped(Effect.forever(Effect.delay(unknownAfter(patience), "1 second")))
  return yield* Effect.raceFirst(serve(login), Deferred.await(lost))
}, Effect.scoped)
