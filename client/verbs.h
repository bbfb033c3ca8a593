/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The verbs. Each takes its arguments (without its own name) and returns an exit status.
 */

#include "client/client.h"

/* verb-status.c */
int verb_status(Client *client, int argc, char **argv);

/* verb-apply.c */
int verb_apply(Client *client, int argc, char **argv);
int verb_plan(Client *client, int argc, char **argv);
int verb_diff(Client *client, int argc, char **argv);

/* verb-document.c */
int verb_confirm(Client *client, int argc, char **argv);
int verb_rollback(Client *client, int argc, char **argv);
int verb_withdraw(Client *client, int argc, char **argv);
int verb_documents(Client *client, int argc, char **argv);
int verb_document(Client *client, int argc, char **argv);
int verb_reload(Client *client, int argc, char **argv);
int verb_version(Client *client, int argc, char **argv);

/* verb-chain.c */
int verb_insert(Client *client, int argc, char **argv);
int verb_move(Client *client, int argc, char **argv);
int verb_remove(Client *client, int argc, char **argv);
int verb_order(Client *client, int argc, char **argv);
int verb_detach(Client *client, int argc, char **argv);
int verb_attach(Client *client, int argc, char **argv);

/* verb-explain.c */
int verb_explain(Client *client, int argc, char **argv);

/* verb-guard.c */
int verb_guard(Client *client, int argc, char **argv);

/* verb-list.c */
int verb_programs(Client *client, int argc, char **argv);
int verb_interfaces(Client *client, int argc, char **argv);
int verb_maps(Client *client, int argc, char **argv);

/* verb-map.c */
int verb_map(Client *client, int argc, char **argv);

/* verb-metrics.c */
int verb_metrics(Client *client, int argc, char **argv);

/* verb-monitor.c */
int verb_monitor(Client *client, int argc, char **argv);
