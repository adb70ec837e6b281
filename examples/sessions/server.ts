/**
 * One of several servers that share sessions: a user has one at a time, on whichever machine, and a later login takes it over.
 *
 *     C  You ready?
 *     S  Bring it!
 *     C  LOGIN alice
 *     S  WELCOME 7            the number of the login, when nobody else has the session any more
 *     C  note this
 *     S  a has noted: this
 *     S  TAKEN b              at any time, and the last words: somebody logged in later, on machine b
 *     S  UNKNOWN              the same: nobody can say whose the session is; log in again
 *
 * See [docs/many-machines.md](../../docs/many-machines.md).
 */
import { NodeClusterSocket } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Option } from "effect"
import { Handshake, HandshakeError, Pipeline, Server, Transport } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Line from "effect-handshake/protocols/Line"
import { RunnerAddress, type ShardingConfig } from "effect/cluster"
import { Logins, SessionLive, withSession } from "./session.ts"

/** Who it is. That it is true, a password would have to show: see `Scram`. */
const login = Effect.gen(function*() {
  const transport = yield* Line.server
  const user = yield* Handshake.receive(transport, "login", (line) => {
    const user = /^LOGIN (\w{1,32})$/.exec(line)?.[1]
    return user === undefined
      ? Effect.fail(
        new HandshakeError.InvalidGreeting({ expected: "LOGIN user", received: Transport.show(transport, line) })
      )
      : Effect.succeed(user)
  }, { orReply: "ERROR log in first" })
  return yield* Handshake.introduce(Transport.extend(transport, { user }), { user, via: "login" })
})

export interface Options {
  readonly name: string
  /** Where clients come to. */
  readonly port: number
  /** Where the other machines come to. */
  readonly cluster: { readonly host: string; readonly port: number }
  readonly database: PgClient.PgPoolConfig
  readonly sharding?: Partial<ShardingConfig.ShardingConfig["Service"]> | undefined
}

export const machine = ({ cluster, database, name, port, sharding }: Options) =>
  Server.layer({
    protocol: { name: "sessions", server: login },
    serve: (transport) =>
      withSession({ user: transport.user, machine: name }, (number) =>
        Effect.andThen(
          transport.send(`WELCOME ${number}`),
          Pipeline.serve((line: string) => Effect.succeed(`${name} has noted: ${line}`), { goodbye: "BYE" })(transport)
        )).pipe(
          Effect.catchTags({
            TakenOver: ({ by }) => Transport.farewell(transport, [`TAKEN ${by}`]),
            Unknown: () => Transport.farewell(transport, ["UNKNOWN"])
          })
        )
  }).pipe(
    Layer.provide(Net.layerServer({ host: "127.0.0.1", port })),
    // The server goes first, and its sessions with it, and then what this machine knows of the sessions of all.
    Layer.provideMerge(Layer.merge(SessionLive, Logins.layer)),
    Layer.provideMerge(NodeClusterSocket.layer({
      shardingConfig: {
        runnerAddress: Option.some(RunnerAddress.make(cluster.host, cluster.port)),
        // Who has a session asks for it again elsewhere: there is nothing to wait for.
        entityTerminationTimeout: "100 millis",
        // How soon it is seen that a machine has died. Sooner than a session gives up, so that those of others outlive it.
        runnerHealthCheckInterval: "5 seconds",
        ...sharding
      }
    })),
    Layer.provide(PgClient.layer(database))
  )
