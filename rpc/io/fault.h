/* Inside of tern_fault (tern/fault.h): what is configured now and how many faults are under way,
 * under a lock of its own, a leaf. Who asks does the waiting and the failing. */
#ifndef TERN__IO_FAULT_H
#define TERN__IO_FAULT_H

#include <tern/fault.h>
#include <tern/metadata.h>
#include <tern/method.h>

#include "policy/fault.h"

/* What happens to a call that begins. If the decision is `active`, tern__faults_end() is due when
 * it is done with, or the call is. */
tern__fault_decision tern__faults_begin(tern_fault *f, const tern_method *method,
                                        const tern_metadata *request);
void tern__faults_end(tern_fault *f);

#endif
