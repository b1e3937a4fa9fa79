package check

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// objects are what a kustomization yields, by kind. A field that Kubernetes does not know is a failure.
type objects struct {
	accounts    []corev1.ServiceAccount
	configs     []corev1.ConfigMap
	secrets     []corev1.Secret
	deployments []appsv1.Deployment
	services    []corev1.Service
	budgets     []policyv1.PodDisruptionBudget
	policies    []networkingv1.NetworkPolicy
	cronJobs    []batchv1.CronJob
}

// build runs kustomize as `kubectl apply -k` does.
func build(t *testing.T, dir string) objects {
	t.Helper()
	all, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var o objects
	for _, r := range all.Resources() {
		doc, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		if err := o.add(r.GetApiVersion()+" "+r.GetKind(), doc); err != nil {
			t.Errorf("%s: %s %s: %v", dir, r.GetKind(), r.GetName(), err)
		}
	}
	return o
}

func (o *objects) add(kind string, doc []byte) error {
	switch kind {
	case "v1 ServiceAccount":
		return strict(doc, &o.accounts)
	case "v1 ConfigMap":
		return strict(doc, &o.configs)
	case "v1 Secret":
		return strict(doc, &o.secrets)
	case "v1 Service":
		return strict(doc, &o.services)
	case "apps/v1 Deployment":
		return strict(doc, &o.deployments)
	case "policy/v1 PodDisruptionBudget":
		return strict(doc, &o.budgets)
	case "networking.k8s.io/v1 NetworkPolicy":
		return strict(doc, &o.policies)
	case "batch/v1 CronJob":
		return strict(doc, &o.cronJobs)
	}
	return fmt.Errorf("no test knows %s", kind)
}

func strict[T any](doc []byte, into *[]T) error {
	var v T
	if err := yaml.UnmarshalStrict(doc, &v); err != nil {
		return err
	}
	*into = append(*into, v)
	return nil
}

const kubernetes = "../kubernetes/"

func TestBase(t *testing.T) {
	t.Parallel()
	o := build(t, kubernetes+"base")
	if len(o.deployments) != 1 || len(o.services) != 1 || len(o.budgets) != 1 || len(o.policies) != 1 || len(o.configs) != 1 || len(o.accounts) != 1 {
		t.Fatalf("%+v", o)
	}
	d := o.deployments[0]
	if n := *d.Spec.Replicas; n != 2 {
		t.Errorf("%d replicas", n)
	}
	pod := d.Spec.Template.Spec
	judgePod(t, pod)
	labels := d.Spec.Template.Labels
	for name, selector := range map[string]map[string]string{
		"deployment": d.Spec.Selector.MatchLabels, "service": o.services[0].Spec.Selector,
		"disruption budget": o.budgets[0].Spec.Selector.MatchLabels, "network policy": o.policies[0].Spec.PodSelector.MatchLabels,
		"topology spread": pod.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
	} {
		if len(selector) == 0 {
			t.Errorf("%s selects everything", name)
		}
		for k, v := range selector {
			if labels[k] != v {
				t.Errorf("%s selects %s=%s, pods have %v", name, k, v, labels)
			}
		}
	}
	c := pod.Containers[0]
	for name, p := range map[string]*corev1.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
		want := "/livez"
		if name == "readiness" {
			want = "/readyz"
		}
		if p == nil || p.HTTPGet == nil || p.HTTPGet.Path != want || p.HTTPGet.Port.StrVal != c.Ports[0].Name {
			t.Errorf("%s probe: %+v", name, p)
		}
	}
	port := c.Ports[0].ContainerPort
	if o.services[0].Spec.Ports[0].TargetPort.StrVal != c.Ports[0].Name || o.policies[0].Spec.Ingress[0].Ports[0].Port.IntVal != port ||
		env(c, "HTTP_ADDR") != fmt.Sprintf(":%d", port) || d.Spec.Template.Annotations["prometheus.io/port"] != fmt.Sprint(port) {
		t.Error("the port is not the same everywhere")
	}
}

func TestOnce(t *testing.T) {
	t.Parallel()
	o := build(t, kubernetes+"once")
	if len(o.cronJobs) != 1 || len(o.configs) != 1 || len(o.accounts) != 1 {
		t.Fatalf("%+v", o)
	}
	j := o.cronJobs[0]
	pod := j.Spec.JobTemplate.Spec.Template.Spec
	judgePod(t, pod)
	if args := pod.Containers[0].Args; !slices.Equal(args, []string{"once"}) || pod.RestartPolicy != corev1.RestartPolicyNever || j.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent {
		t.Errorf("%+v", j.Spec)
	}
}

// judgePod holds a pod to what Kubernetes calls the restricted standard, and to what the worker needs.
func judgePod(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	c, s := pod.Containers[0], pod.SecurityContext
	switch {
	case s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault:
		t.Errorf("pod security: %+v", s)
	case c.SecurityContext == nil || *c.SecurityContext.AllowPrivilegeEscalation || !*c.SecurityContext.ReadOnlyRootFilesystem ||
		!slices.Equal(c.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}):
		t.Errorf("container security: %+v", c.SecurityContext)
	case pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken:
		t.Error("the pod gets a token of the cluster")
	case *pod.TerminationGracePeriodSeconds <= 10:
		t.Error("ended before SHUTDOWN_GRACE is over")
	case c.Resources.Limits.Memory().Cmp(*c.Resources.Requests.Memory()) < 0:
		t.Error("the memory limit is under what is asked for")
	}
	if env(c, "GOMEMLIMIT") != "requests.memory" {
		t.Error("GOMEMLIMIT does not follow the memory")
	}
}

func env(c corev1.Container, name string) string {
	for _, e := range c.Env {
		switch {
		case e.Name != name:
		case e.ValueFrom != nil && e.ValueFrom.ResourceFieldRef != nil:
			return e.ValueFrom.ResourceFieldRef.Resource
		default:
			return e.Value
		}
	}
	return ""
}

// An overlay as a user would write it: names, image, and the secret of the example.
func TestOverlay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	copyTree(t, kubernetes, dir+"/kubernetes")
	write(t, dir+"/kustomization.yaml", `
namespace: family
images: [{ name: reminder-worker, newName: registry.example.org/reminder-worker, newTag: v1.4.0 }]
replicas: [{ name: reminder-worker, count: 3 }]
resources: [kubernetes/base, kubernetes/shared/secret.example.yaml]
`)
	o := build(t, dir)
	d := o.deployments[0]
	if d.Namespace != "family" || *d.Spec.Replicas != 3 || d.Spec.Template.Spec.Containers[0].Image != "registry.example.org/reminder-worker:v1.4.0" {
		t.Errorf("%+v", d)
	}
	from := d.Spec.Template.Spec.Containers[0].EnvFrom
	if len(o.secrets) != 1 || len(o.configs) != 1 || from[0].ConfigMapRef.Name != o.configs[0].Name || from[1].SecretRef.Name != o.secrets[0].Name {
		t.Errorf("the pods do not get what is set: %+v", from)
	}
	known := variables(t)
	names := slices.Sorted(keys(o.configs[0].Data, o.secrets[0].StringData))
	for _, name := range names {
		if !known[name] {
			t.Errorf("%s is no variable of the program", name)
		}
	}
	if len(names) < 5 {
		t.Errorf("only %v are set", names)
	}
}

// Every file of the folder is read by one of the tests above.
func TestNoManifestIsLeftOut(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"shared", "base", "once"} {
		listed := read(t, kubernetes+dir+"/kustomization.yaml")
		for _, name := range files(t, kubernetes+dir) {
			if name != "kustomization.yaml" && !strings.HasSuffix(name, ".example.yaml") && !bytes.Contains(listed, []byte("- "+name)) {
				t.Errorf("%s/%s is in no kustomization", dir, name)
			}
		}
	}
}
