/**
 * The laws of PostgreSQL's start-up by `trust`, which is over soonest: on memory, real sockets and the fast way over them.
 * The other methods are tried on plain calls and on the simulated network.
 */
import * as Rung from "../../../../src/testing/Rung.ts"
import { tcp, tls } from "../../../support/rungs.ts"
import { laws } from "./laws.ts"

laws({ method: "trust", version: "3.0", rungs: [Rung.memory, tcp, tls, Rung.fast(tcp)] })
